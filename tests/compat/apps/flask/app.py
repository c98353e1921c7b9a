"""The routes of the compatibility matrix on Flask, behind two adapters."""

import apig_wsgi
import serverless_wsgi
from flask import Flask, Response, jsonify, redirect, request

app = Flask(__name__)


@app.get("/query")
def query():
    return jsonify(request.args.to_dict(flat=False))


@app.get("/cookies")
def cookies():
    response = jsonify(request.cookies.to_dict())
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


@app.post("/json")
def json():
    return jsonify(request.get_json())


@app.post("/form")
def form():
    return jsonify(request.form.to_dict(flat=False))


@app.post("/upload")
def upload():
    file = request.files["file"]
    headers = {"x-filename": file.filename, "x-note": request.form["note"]}
    return Response(file.read(), 200, headers, mimetype="application/octet-stream")


@app.get("/binary")
def binary():
    return Response(bytes(range(256)), mimetype="application/octet-stream")


@app.get("/redirect")
def to_query():
    return redirect("/query?from=redirect")


@app.get("/boom")
def boom():
    raise RuntimeError("boom")


@app.get("/head")
def head():
    return Response(headers={"x-method": request.method})


@app.get("/path/<name>")
def path(name):
    return jsonify({"name": name})


behind_apig_wsgi = apig_wsgi.make_lambda_handler(app, binary_support=True)


def behind_serverless_wsgi(event, context):
    return serverless_wsgi.handle_request(app, event, context)
