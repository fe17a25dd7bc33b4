// An Express application behind API Gateway, by the adapter that most people use.
const express = require("express");
const serverless = require("serverless-http");

const PIXEL = Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), Buffer.from([...Array(256).keys()])]);
const app = express();
app.use(express.urlencoded({ extended: false }));
app.use(express.raw({ type: "application/octet-stream" }));

app.get("/hello/:name", (request, response) => {
  response.json({ hello: request.params.name, agent: request.get("user-agent"), q: [].concat(request.query.q ?? []) });
});
app.post("/form", (request, response) => {
  const given = /given=([^;]*)/.exec(request.get("cookie") ?? "");
  response.cookie("first", "1").cookie("second", given ? given[1] : "");
  response.type("text/html").send(`thanks, ${request.body.name}`);
});
app.put("/echo", (request, response) => response.type(request.get("content-type")).send(request.body));
app.get("/pixel", (request, response) => response.type("image/png").send(PIXEL));
app.get("/away", (request, response) => response.redirect(303, "/hello/again"));

module.exports.handler = serverless(app, { binary: ["image/*", "application/octet-stream"] });
