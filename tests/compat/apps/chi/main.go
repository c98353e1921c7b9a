// The routes of the compatibility matrix on chi, behind aws-lambda-go-api-proxy.
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
	"github.com/go-chi/chi/v5"
)

func main() {
	app := chi.NewRouter()
	app.Get("/query", query)
	app.Get("/cookies", cookies)
	app.Post("/json", jsonBody)
	app.Post("/form", form)
	app.Post("/upload", upload)
	app.Get("/binary", binary)
	app.Get("/redirect", redirect)
	app.Get("/boom", boom)
	app.Head("/head", head)
	app.Get("/path/{name}", path)

	// Each adapter reads one format.
	switch os.Getenv("PAYLOAD_FORMAT") {
	case "apigateway-v1":
		lambda.Start(httpadapter.New(app).ProxyWithContext)
	case "alb", "alb-multi-value":
		lambda.Start(httpadapter.NewALB(app).ProxyWithContext)
	default:
		lambda.Start(httpadapter.NewV2(app).ProxyWithContext)
	}
}

func answer(writer http.ResponseWriter, value any) {
	writer.Header().Set("Content-Type", "application/json")
	json.NewEncoder(writer).Encode(value)
}

func query(writer http.ResponseWriter, request *http.Request) {
	answer(writer, request.URL.Query())
}

func cookies(writer http.ResponseWriter, request *http.Request) {
	received := map[string]string{}
	for _, cookie := range request.Cookies() {
		received[cookie.Name] = cookie.Value
	}
	http.SetCookie(writer, &http.Cookie{Name: "first", Value: "1"})
	http.SetCookie(writer, &http.Cookie{Name: "second", Value: "2"})
	answer(writer, received)
}

func jsonBody(writer http.ResponseWriter, request *http.Request) {
	var body any
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	answer(writer, body)
}

func form(writer http.ResponseWriter, request *http.Request) {
	if err := request.ParseForm(); err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	answer(writer, request.PostForm)
}

func upload(writer http.ResponseWriter, request *http.Request) {
	file, header, err := request.FormFile("file")
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	writer.Header().Set("Content-Type", "application/octet-stream")
	writer.Header().Set("X-Filename", header.Filename)
	writer.Header().Set("X-Note", request.FormValue("note"))
	io.Copy(writer, file)
}

func binary(writer http.ResponseWriter, _ *http.Request) {
	content := make([]byte, 256)
	for value := range content {
		content[value] = byte(value)
	}
	writer.Header().Set("Content-Type", "application/octet-stream")
	writer.Write(content)
}

func redirect(writer http.ResponseWriter, request *http.Request) {
	http.Redirect(writer, request, "/query?from=redirect", http.StatusFound)
}

func boom(http.ResponseWriter, *http.Request) {
	panic("boom")
}

func head(writer http.ResponseWriter, request *http.Request) {
	writer.Header().Set("X-Method", request.Method)
	writer.WriteHeader(http.StatusOK)
}

func path(writer http.ResponseWriter, request *http.Request) {
	// chi matches the path as it is in the URL.
	name, err := url.PathUnescape(request.PathValue("name"))
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	answer(writer, map[string]string{"name": name})
}
