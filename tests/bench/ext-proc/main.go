// An external processor for Envoy that does what the filter does: it turns a request into an event of API Gateway
// (payload format 2.0) and a call of Invoke, and the function's response into the response of the client.
package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxMessage is above the 6 MB of a payload. The default of grpc-go is 4 MB.
const maxMessage = 16 << 20

type event struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext  requestContext    `json:"requestContext"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpContext `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

type response struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type processor struct {
	proc.UnimplementedExternalProcessorServer
	invokePath []byte
}

// Process serves the stream of one HTTP request.
func (p *processor) Process(stream proc.ExternalProcessor_ProcessServer) error {
	var request *event
	var names []string
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
			return nil
		}
		if err != nil {
			return err
		}
		var answer *proc.ProcessingResponse
		switch part := message.Request.(type) {
		case *proc.ProcessingRequest_RequestHeaders:
			request, names = newEvent(part.RequestHeaders.Headers)
			common := &proc.CommonResponse{}
			if part.RequestHeaders.EndOfStream {
				if common, err = p.invoke(request, names); err != nil {
					return err
				}
				// The request has no body yet.
				common.Status = proc.CommonResponse_CONTINUE_AND_REPLACE
			}
			answer = &proc.ProcessingResponse{Response: &proc.ProcessingResponse_RequestHeaders{
				RequestHeaders: &proc.HeadersResponse{Response: common},
			}}
		case *proc.ProcessingRequest_RequestBody:
			body := part.RequestBody.Body
			if utf8.Valid(body) {
				request.Body = string(body)
			} else {
				request.Body, request.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
			}
			common, err := p.invoke(request, names)
			if err != nil {
				return err
			}
			answer = &proc.ProcessingResponse{Response: &proc.ProcessingResponse_RequestBody{
				RequestBody: &proc.BodyResponse{Response: common},
			}}
		case *proc.ProcessingRequest_ResponseHeaders:
			// Envoy holds them until the body has been decoded.
			answer = &proc.ProcessingResponse{Response: &proc.ProcessingResponse_ResponseHeaders{
				ResponseHeaders: &proc.HeadersResponse{},
			}}
		case *proc.ProcessingRequest_ResponseBody:
			common, err := decode(part.ResponseBody.Body)
			if err != nil {
				return err
			}
			answer = &proc.ProcessingResponse{Response: &proc.ProcessingResponse_ResponseBody{
				ResponseBody: &proc.BodyResponse{Response: common},
			}}
		default:
			return status.Errorf(codes.Unimplemented, "Envoy sent %T; this processor is for headers and buffered bodies", part)
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// newEvent returns the event without a body, and the names of the client's headers.
func newEvent(headers *core.HeaderMap) (*event, []string) {
	now := time.Now().UTC()
	e := &event{
		Version:  "2.0",
		RouteKey: "$default",
		Headers:  make(map[string]string, len(headers.Headers)),
		RequestContext: requestContext{
			AccountID: "123456789012",
			APIID:     "ext-proc",
			RouteKey:  "$default",
			Stage:     "$default",
			Time:      now.Format("02/Jan/2006:15:04:05 +0000"),
			TimeEpoch: now.UnixMilli(),
		},
	}
	context := &e.RequestContext
	context.HTTP.Protocol = "HTTP/1.1"
	names := make([]string, 0, len(headers.Headers))
	for _, header := range headers.Headers {
		value := string(header.RawValue)
		switch header.Key {
		case ":method":
			context.HTTP.Method = value
		case ":path":
			e.RawPath, e.RawQueryString, _ = strings.Cut(value, "?")
			context.HTTP.Path = e.RawPath
		case ":authority":
			context.DomainName = value
			context.DomainPrefix, _, _ = strings.Cut(value, ".")
			e.Headers["host"] = value
		case ":scheme":
		case "cookie":
			e.Cookies = append(e.Cookies, strings.Split(value, "; ")...)
			names = append(names, header.Key)
		default:
			if before, found := e.Headers[header.Key]; found {
				value = before + "," + value
			}
			e.Headers[header.Key] = value
			names = append(names, header.Key)
		}
	}
	context.HTTP.UserAgent = e.Headers["user-agent"]
	context.RequestID = e.Headers["x-request-id"]
	forwarded := e.Headers["x-forwarded-for"]
	context.HTTP.SourceIP = strings.TrimSpace(forwarded[strings.LastIndexByte(forwarded, ',')+1:])
	if query, err := url.ParseQuery(e.RawQueryString); err == nil && len(query) > 0 {
		e.Query = make(map[string]string, len(query))
		for name, values := range query {
			e.Query[name] = strings.Join(values, ",")
		}
	}
	return e, names
}

// invoke turns the request into a call of Invoke.
func (p *processor) invoke(request *event, names []string) (*proc.CommonResponse, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return &proc.CommonResponse{
		HeaderMutation: &proc.HeaderMutation{
			RemoveHeaders: removable(names),
			SetHeaders: []*core.HeaderValueOption{
				set(":method", []byte("POST")),
				set(":path", p.invokePath),
				set("content-type", []byte("application/json")),
				set("content-length", strconv.AppendInt(nil, int64(len(body)), 10)),
			},
		},
		BodyMutation: &proc.BodyMutation{Mutation: &proc.BodyMutation_Body{Body: body}},
	}, nil
}

// removable returns the names of the headers that do not go to Lambda. Envoy refuses changes of its own.
func removable(names []string) []string {
	kept := names[:0]
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "x-envoy-"), name == "content-type", name == "content-length":
		default:
			kept = append(kept, name)
		}
	}
	return kept
}

// decode turns the payload of a function into the response of the client.
func decode(payload []byte) (*proc.CommonResponse, error) {
	var r response
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, status.Error(codes.Internal, "the function's response is no JSON object")
	}
	body := []byte(r.Body)
	if r.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			return nil, status.Error(codes.Internal, "the function's body is no base64")
		}
		body = decoded
	}
	headers := make([]*core.HeaderValueOption, 0, len(r.Headers)+len(r.Cookies)+2)
	headers = append(headers,
		set(":status", strconv.AppendInt(nil, int64(r.StatusCode), 10)),
		set("content-length", strconv.AppendInt(nil, int64(len(body)), 10)))
	for name, value := range r.Headers {
		headers = append(headers, set(strings.ToLower(name), []byte(value)))
	}
	for _, cookie := range r.Cookies {
		headers = append(headers, &core.HeaderValueOption{
			Header: &core.HeaderValue{Key: "set-cookie", RawValue: []byte(cookie)},
			Append: wrapperspb.Bool(true),
		})
	}
	return &proc.CommonResponse{
		HeaderMutation: &proc.HeaderMutation{SetHeaders: headers},
		BodyMutation:   &proc.BodyMutation{Mutation: &proc.BodyMutation_Body{Body: body}},
	}, nil
}

// set returns a header that replaces those of its name. ext_proc reads Append, and not AppendAction.
func set(name string, value []byte) *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header: &core.HeaderValue{Key: name, RawValue: value},
		Append: wrapperspb.Bool(false),
	}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: ext-proc ADDRESS FUNCTION")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	proc.RegisterExternalProcessorServer(server, &processor{
		invokePath: []byte("/2015-03-31/functions/" + url.PathEscape(os.Args[2]) + "/invocations"),
	})
	log.Fatal(server.Serve(listener))
}
