// A Lambda function without any framework: it takes the event of an Application Load Balancer and
// returns an object with status, headers and body.
//
// https://docs.aws.amazon.com/lambda/latest/dg/services-alb.html

export const handler = async (event, context) => {
  const body = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString() : event.body
  console.log(event.httpMethod, event.path)
  return {
    statusCode: event.httpMethod === 'POST' ? 201 : 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: JSON.stringify({
      message: 'hello from Node.js',
      method: event.httpMethod,
      path: event.path,
      query: event.queryStringParameters,
      body,
      request_id: context.awsRequestId,
    }),
  }
}
