import { PageError } from './page.js'

/** The largest form that is read, in bytes: the ids of a page, a reason and a filter. */
const MAX_FORM = 64 * 1024

/**
 * The fields of a form that was sent with POST.
 * @throws PageError for anything else, and for a form that is too large
 */
export async function formOf(request: Request): Promise<URLSearchParams> {
  if (request.method !== 'POST') throw new PageError(405, 'This address takes forms only.')
  if (!/^application\/x-www-form-urlencoded\b/i.test(request.headers.get('content-type') ?? ''))
    throw new PageError(400, 'The form is not encoded as a form.')
  return new URLSearchParams(await textOf(request))
}

async function textOf({ body }: Request): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.byteLength
    if (size > MAX_FORM) throw new PageError(413, 'The form is too large.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
