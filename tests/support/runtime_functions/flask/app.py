"""A Flask application behind API Gateway, by the adapter that most people use."""

from apig_wsgi import make_lambda_handler
from flask import Flask, Response, jsonify, make_response, redirect, request, url_for

app = Flask(__name__)
PIXEL = bytes.fromhex("89504e470d0a1a0a") + bytes(range(256))


@app.get("/hello/<name>")
def hello(name: str) -> Response:
    return jsonify(hello=name, agent=request.headers.get("User-Agent"), q=request.args.getlist("q"))


@app.post("/form")
def form() -> Response:
    answer = make_response(f"thanks, {request.form['name']}")
    answer.set_cookie("first", "1")
    answer.set_cookie("second", request.cookies.get("given", ""))
    return answer


@app.put("/echo")
def echo() -> Response:
    return Response(request.get_data(), content_type=request.content_type)


@app.get("/pixel")
def pixel() -> Response:
    return Response(PIXEL, content_type="image/png")


@app.get("/away")
def away() -> Response:
    return redirect(url_for("hello", name="again"), 303)


handler = make_lambda_handler(app, binary_support=True)
