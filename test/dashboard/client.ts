import type { DashboardHandler } from '@async-gen/runtime/dashboard'

const ORIGIN = 'http://localhost:3000'

/** A page, as a user agent without script has it. */
export interface VisitedPage {
  status: number
  html: string
  /** The text of the page, without its elements. */
  text: string
  headers: Headers
}

/** A user agent without script: it follows links, sends forms, and keeps cookies. */
export class Client {
  readonly #dashboard: DashboardHandler
  #cookie = ''

  constructor(dashboard: DashboardHandler) {
    this.#dashboard = dashboard
  }

  async visit(path: string): Promise<VisitedPage> {
    return await this.send(new Request(new URL(path, ORIGIN), { headers: this.#headers }))
  }

  /** Confirms: sends the form of a page, and follows the redirect. */
  async confirm({ html }: VisitedPage): Promise<VisitedPage> {
    const response = await this.#respond(this.formOf(html))
    if (response.status !== 303) return await pageOf(response)
    return await this.visit(response.headers.get('location')!)
  }

  /** The request that the form of a page makes, with other headers or fields. */
  formOf(html: string, headers: Record<string, string> = {}, fields: [string, string][] = []): Request {
    const [, action = '', content = ''] = /<form method="post" action="([^"]+)">(.*?)<\/form>/s.exec(html) ?? []
    const hidden = [...content.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(
      ([, name, value]): [string, string] => [name!, decoded(value!)],
    )
    const body = new URLSearchParams([
      ...hidden.filter(([name]) => !fields.some(([other]) => other === name)),
      ...fields,
    ])
    return new Request(new URL(decoded(action), ORIGIN), {
      method: 'POST',
      headers: { ...this.#headers, 'sec-fetch-site': 'same-origin', origin: ORIGIN, ...headers },
      body,
    })
  }

  async send(request: Request): Promise<VisitedPage> {
    const response = await this.#respond(request)
    const location = response.headers.get('location')
    return response.status === 303 && location && request.method === 'GET'
      ? await this.visit(location)
      : await pageOf(response)
  }

  async #respond(request: Request): Promise<Response> {
    const response = await this.#dashboard(request)
    const cookie = response.headers.get('set-cookie')
    if (cookie) this.#cookie = cookie.split(';')[0]!
    return response
  }

  get #headers(): Record<string, string> {
    return this.#cookie === '' ? {} : { cookie: this.#cookie }
  }
}

async function pageOf(response: Response): Promise<VisitedPage> {
  const html = await response.text()
  const text = decoded(
    html
      .replaceAll('<wbr/>', '')
      .replace(/<(script|style)\b.*?<\/\1>/gs, ' ')
      .replace(/<[^>]+>/g, ' '),
  ).replace(/\s+/g, ' ')
  return { status: response.status, html, text, headers: response.headers }
}

function decoded(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&')
}

/** The addresses of the links of a page whose text has these words. */
export function linksOf({ html }: VisitedPage, words: string): string[] {
  const links = [...html.matchAll(/<a\b[^>]*href="([^"]+)"[^>]*>(.*?)<\/a>/gs)]
  return links.filter(([, , text]) => text!.replace(/<[^>]+>/g, '').includes(words)).map(([, href]) => decoded(href!))
}

/** The ids of the attempts that a page lists, in its order. */
export function listedIds({ html }: VisitedPage): string[] {
  return [...html.matchAll(/<th scope="row"><a href="[^"]*\/attempts\/\w+\/(-?\d+)"/g)].map(([, id]) => id!)
}
