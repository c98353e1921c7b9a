// On AWS's library for Go, aws-lambda-go.
package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	RawPath string `json:"rawPath"`
	Body    string `json:"body"`
}

type answer struct {
	Event       event  `json:"event"`
	RequestID   string `json:"request_id"`
	RemainingMs int64  `json:"remaining_ms"`
	Environment string `json:"environment"`
}

func main() {
	lambda.Start(handle)
}

func handle(ctx context.Context, event event) (any, error) {
	switch event.RawPath {
	case "/fail":
		return nil, errors.New("as asked")
	case "/hang":
		time.Sleep(10 * time.Minute)
	case "/stream":
		return stream(event.Body), nil
	}
	invocation, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return answer{
		Event:       event,
		RequestID:   invocation.AwsRequestID,
		RemainingMs: time.Until(deadline).Milliseconds(),
		Environment: os.Getenv("AWS_LAMBDA_LOG_STREAM_NAME"),
	}, nil
}

func stream(gate string) *events.LambdaFunctionURLStreamingResponse {
	reader, writer := io.Pipe()
	go func() {
		io.WriteString(writer, "first")
		for {
			if _, err := os.Stat(gate); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		io.WriteString(writer, "last")
		writer.Close()
	}()
	return &events.LambdaFunctionURLStreamingResponse{StatusCode: http.StatusCreated, Body: reader}
}
