// The Runtime API for AWS's Node.js client: next(), done(id, body), error(id, body, xrayCause).
//
// One kept connection; requests go out in order and are answered in order. What the client relies on:
// - done() and error() hand their bytes to the kernel before they return (a socket without a backlog is written to at
//   once), for the client may call process.exit() next;
// - only a waiting next() keeps the process alive: an event loop that is empty otherwise ends an invocation
//   (callbackWaitsForEmptyEventLoop, handlers that never call back).

'use strict';

const net = require('node:net');

const API = '/2018-06-01/runtime/invocation';
let [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const HEAD_END = Buffer.from('\r\n\r\n');

let socket = null;
// answers that are due, in order
let due = [];

function connection() {
  if (socket === null) {
    socket = net.connect({ host, port: Number(port), noDelay: true });
    socket.on('data', new AnswerReader().take);
    socket.on('error', () => {}); // 'close' follows and tells those who wait
    socket.on('close', () => {
      const waiting = due;
      socket = null;
      due = [];
      for (const one of waiting) one.reject(new Error('Failed to get next invocation, error 0'));
    });
  }
  return socket;
}

function send(head, body) {
  const open = connection();
  open.cork();
  open.write(`${head}Host: ${host}:${port}\r\nUser-Agent: hearth-nodejs\r\n\r\n`);
  if (body !== undefined) open.write(body);
  open.uncork();
}

function next() {
  return new Promise((resolve, reject) => {
    send(`GET ${API}/next HTTP/1.1\r\n`);
    due.push({ resolve: (answer) => { socket.unref(); taken(answer, resolve, reject); }, reject });
    socket.ref();
  });
}

function taken({ status, headers, body }, resolve, reject) {
  if (status !== 200) {
    reject(new Error(`Failed to get next invocation, error ${status}`));
    return;
  }
  headers['lambda-runtime-trace-id'] ??= '';
  resolve({ bodyJson: body.toString('utf8'), headers });
}

function post(path, text, more = '') {
  const body = Buffer.from(text);
  send(`POST ${API}/${path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${more}`, body);
  due.push({ resolve() {}, reject() {} });
}

// Takes answers off the stream. Every answer of the Runtime API has a Content-Length.
class AnswerReader {
  constructor() {
    this.chunks = [];
    this.held = 0;
    this.wanted = 0;
    this.answer = null;
    this.take = (chunk) => {
      this.chunks.push(chunk);
      this.held += chunk.length;
      while (this.held > 0 && this.held >= this.wanted && this.step());
    };
  }

  // One step further: a head, or a body that is whole. False: more bytes are needed.
  step() {
    const data = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks, this.held);
    let used;
    if (this.answer === null) {
      const end = data.indexOf(HEAD_END);
      if (end < 0) {
        this.keep(data);
        return false;
      }
      used = end + HEAD_END.length;
      this.answer = readHead(data.toString('utf8', 0, end));
      this.wanted = Number(this.answer.headers['content-length'] ?? 0);
    } else {
      used = this.wanted;
      this.deliver(data.subarray(0, used));
    }
    this.keep(data.subarray(used));
    if (this.answer !== null && this.wanted === 0) this.deliver(Buffer.alloc(0));
    return true;
  }

  keep(data) {
    this.chunks = data.length ? [data] : [];
    this.held = data.length;
  }

  deliver(body) {
    const answer = this.answer;
    this.answer = null;
    this.wanted = 0;
    if (answer.status !== 100) due.shift().resolve({ ...answer, body });
  }
}

function readHead(text) {
  const [first, ...lines] = text.split('\r\n');
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(first.split(' ')[1]), headers };
}

// Talks once to a server of its own, for what is called first is compiled first: a cell does so ahead.
async function rehearse() {
  const event = 'HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\nContent-Length: 2\r\n\r\n{}';
  const server = net.createServer((link) => {
    link.once('data', () => {
      link.write(event);
      link.once('data', () => link.end('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n'));
    });
  });
  const real = [host, port];
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  [host, port] = ['127.0.0.1', server.address().port];
  const { bodyJson, headers } = await next();
  post(`${headers['lambda-runtime-aws-request-id']}/response`, bodyJson);
  await new Promise((resolve) => { socket.once('close', resolve); });
  await new Promise((resolve) => { server.close(resolve); });
  [host, port] = real;
}

module.exports = {
  rehearse,
  next,
  done: (id, body) => post(`${id}/response`, body),
  error: (id, body, xrayCause) =>
    post(`${id}/error`, body, xrayCause ? `Lambda-Runtime-Function-XRay-Error-Cause: ${xrayCause}\r\n` : ''),
};
