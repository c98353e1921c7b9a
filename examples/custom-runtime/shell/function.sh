# The function. It reads an event from standard input and writes its response to standard output. What it writes to
# standard error is in the log, and its exit status says whether it has succeeded.

capitals='Andorra la Vella:Andorra
Canberra:Australia
Nairobi:Kenya
Ottawa:Canada
Paramaribo:Suriname
Tallinn:Estonia
Ulaanbaatar:Mongolia'

handler() {
  event=$(cat)
  case $(value eventSource) in
    aws:s3) uploaded ;;
    aws:ses) received ;;
    *) http ;;
  esac
}

# An HTTP request, in the format of API Gateway's HTTP APIs.
http() {
  case $(value rawPath) in
    /capital)
      line=$(($(od -An -N2 -tu2 /dev/urandom) % $(echo "$capitals" | wc -l) + 1))
      IFS=: read -r capital country <<LINE
$(echo "$capitals" | sed -n "${line}p")
LINE
      answer 200 "{\"capital\":\"$capital\",\"country\":\"$country\"}"
      ;;
    /error)
      echo 'the capital is lost' >&2
      return 1
      ;;
    /slow) sleep 60 ;;
    *) answer 404 '{"message":"try /capital"}' ;;
  esac
}

# Files that S3 reports.
uploaded() {
  echo "uploaded: s3://$(value name)/$(value key)" >&2
  echo '{"files":1}'
}

# A mail that SES has received.
received() {
  echo "received: a mail from $(value source)" >&2
  echo '{"disposition":"CONTINUE"}'
}

# Writes an HTTP response with the status $1 and the JSON $2.
answer() {
  body=$(printf %s "$2" | sed 's/"/\\"/g')
  printf '{"statusCode":%d,"headers":{"content-type":"application/json"},"body":"%s"}' "$1" "$body"
}

# Prints the first text of the key $1 in the event. That is enough for these events. Others need jq.
value() {
  printf %s "$event" | tr ',{}[]' '[\n*]' | sed -n "s/^ *\"$1\" *: *\"\(.*\)\" *\$/\1/p" | head -n 1
}
