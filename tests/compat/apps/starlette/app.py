"""The routes of the compatibility matrix on Starlette, behind Mangum."""

from mangum import Mangum
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route


def multi_map(values):
    return {name: values.getlist(name) for name in values}


async def query(request):
    return JSONResponse(multi_map(request.query_params))


async def cookies(request):
    response = JSONResponse(request.cookies)
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


async def json(request):
    return JSONResponse(await request.json())


async def form(request):
    return JSONResponse(multi_map(await request.form()))


async def upload(request):
    fields = await request.form()
    file = fields["file"]
    headers = {"x-filename": file.filename, "x-note": fields["note"]}
    return Response(await file.read(), 200, headers, "application/octet-stream")


async def binary(request):
    return Response(bytes(range(256)), media_type="application/octet-stream")


async def redirect(request):
    return RedirectResponse("/query?from=redirect", 302)


async def boom(request):
    raise RuntimeError("boom")


async def head(request):
    return Response(headers={"x-method": request.method})


async def path(request):
    return JSONResponse({"name": request.path_params["name"]})


app = Starlette(
    routes=[
        Route("/query", query),
        Route("/cookies", cookies),
        Route("/json", json, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/binary", binary),
        Route("/redirect", redirect),
        Route("/boom", boom),
        Route("/head", head),
        Route("/path/{name}", path),
    ]
)

handler = Mangum(app, lifespan="off")
