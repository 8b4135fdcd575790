import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerRequest } from 'srvx'
import { NodeRequest, sendNodeResponse } from 'srvx/node'

/** What the server knows of the connection, and a Request does not have. */
interface Connection {
  /** The address of the client. */
  remoteAddress?: string | undefined
}

/** A handler of the fetch standard, such as `asyncDashboard` and `asyncEvents` return. */
export type FetchHandler = (request: Request, connection: Connection) => Response | Promise<Response>

/** A handler of Node's http, and a middleware of Express, Connect and NestJS. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void

/** What frameworks add to a request. */
interface FrameworkRequest extends IncomingMessage {
  /** Express and Connect remove the path of the mount from `url`. */
  originalUrl?: string
  /** The body as a parser has left it. */
  body?: unknown
  rawBody?: unknown
}

/**
 * Runs a fetch handler in Node's http, Express, Connect, NestJS and, with the raw request, Fastify. The handler gets the whole path. Bodies
 * are streamed both ways. `request.signal` aborts when the client closes the connection. An error of the handler is logged, and answered
 * with 500.
 */
export function toNodeHandler(handler: FetchHandler): NodeHandler {
  return (req: FrameworkRequest, res) => {
    if (req.originalUrl !== undefined) req.url = req.originalUrl
    // srvx reads `rawBody` in place of the stream, which a parser of the host's has read to its end.
    if (req.readableEnded && !Buffer.isBuffer(req.rawBody)) req.rawBody = encodedBody(req)
    void respond(handler, new NodeRequest({ req, res }), res)
  }
}

/**
 * The request of Node's http behind a Request that `toNodeHandler` made, with what middleware has added to it:
 * `nodeRequestOf<{ user: User }>(request)?.user`. Undefined for other Requests.
 */
export function nodeRequestOf<Added extends object = object>(
  request: Request,
): (IncomingMessage & Partial<Added>) | undefined {
  return (request as ServerRequest).runtime?.node?.req as (IncomingMessage & Partial<Added>) | undefined
}

async function respond(handler: FetchHandler, request: Request, res: ServerResponse): Promise<void> {
  try {
    await send(await handler(request, { remoteAddress: res.req.socket.remoteAddress }), res)
  } catch (error) {
    if (request.signal.aborted) return
    console.error(`${request.method} ${new URL(request.url).pathname} failed:`, error)
    if (res.headersSent) res.destroy()
    else res.writeHead(500, { 'content-type': 'text/plain' }).end('Internal Server Error\n')
  }
}

/**
 * The headers are set one by one: where a framework has set others before, `writeHead` of Node.js 20 keeps only the last of several with the
 * same name, such as cookies.
 */
async function send({ status, statusText, headers, body }: Response, res: ServerResponse): Promise<void> {
  for (const name of headers.keys()) {
    res.setHeader(name, name === 'set-cookie' ? headers.getSetCookie() : headers.get(name)!)
  }
  // The connection closes with the stream. Otherwise, a server that closes would wait until the idle connection times out.
  const isEventStream = headers.get('content-type')?.startsWith('text/event-stream')
  if (isEventStream && res.req.httpVersionMajor === 1) res.setHeader('connection', 'close')
  await sendNodeResponse(res, new Response(body, { status, statusText }))
}

/** The body as it was sent, or in another spelling of the same content. */
function encodedBody({ body, headers }: FrameworkRequest): Buffer {
  if (Buffer.isBuffer(body)) return body
  if (typeof body === 'string') return Buffer.from(body)
  if (typeof body !== 'object' || body === null) return Buffer.alloc(0)
  const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded')
  return Buffer.from(isForm ? encodedForm(body) : JSON.stringify(body))
}

/** Fields that were sent several times are lists. */
function encodedForm(fields: object): string {
  const pairs = Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().map((item): [string, string] => [name, String(item)]),
  )
  return new URLSearchParams(pairs).toString()
}
