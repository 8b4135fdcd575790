import { reported } from '../actions/audit.js'
import { chosenIds } from '../chosen.js'
import { ConfirmForm } from '../components/confirm-form.js'
import { Hidden } from '../components/hidden.js'
import { Layout } from '../components/layout.js'
import { withNotice } from '../components/notice.js'
import { plural } from '../components/text.js'
import { csrfToken } from '../csrf.js'
import { pathTo, withQuery } from '../links.js'
import type { PageContext } from '../page.js'
import { matchingToasts, readToast, refreshToasts, type ToastFilter } from '../queries/toasts.js'
import { htmlResponse, seeOther } from '../respond.js'
import { toastFilter } from './toasts.js'

/** Asks before toasts are refreshed, and says how many they are. */
export async function confirmRefreshPage(context: PageContext): Promise<Response> {
  const { settings, role, request, url } = context
  const { ids, filter } = choiceOf(url.searchParams)
  const { token, headers } = csrfToken(settings, request)
  const count = ids.length > 0 ? ids.length : await countOf(context, filter)
  const title = `Refresh ${ids.length === 1 ? await nameOf(context, ids[0]!) : plural(count, 'toast')}?`
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="toasts" title={title}>
      <ConfirmForm
        title={title}
        meaning="The values become stale, and workers compute them again. Readers get the values that are there until then."
        action={pathTo(settings, 'toasts', 'act')}
        fields={{ csrf: token, all: ids.length === 0 ? '1' : '', ...parametersOf(filter) }}
        label="Refresh"
        isDisabled={count === 0}
        back={backTo(context, ids, filter)}
      >
        {ids.map((id) => (
          <Hidden key={id} fields={{ id }} />
        ))}
      </ConfirmForm>
    </Layout>,
    { headers },
  )
}

/** Requests the refreshes that the user has confirmed. */
export async function actOnToasts(context: PageContext, form: URLSearchParams): Promise<Response> {
  const { settings, cache } = context
  const { ids, filter } = choiceOf(form)
  const isAll = ids.length === 0
  const subject = isAll
    ? 'all toasts that match'
    : ids.length === 1
      ? await nameOf(context, ids[0]!)
      : plural(ids.length, 'toast')
  const { changed, isRecorded } = await reported(
    context,
    { action: 'refresh', subject, ...(isAll ? { filter: { ...filter } } : { ids }) },
    async (add) => {
      if (!isAll) return await refreshToasts(context, ids, add)
      for await (const matching of matchingToasts(context, filter)) await refreshToasts(context, matching, add)
    },
  )
  cache.clear()
  const unchanged = isAll ? 0 : ids.length - changed
  return seeOther(
    settings,
    withNotice(backTo(context, ids, filter), { action: 'refresh', changed, unchanged, isRecorded }),
  )
}

function choiceOf(parameters: URLSearchParams): { ids: string[]; filter: ToastFilter } {
  return { ids: chosenIds(parameters, 'toast'), filter: toastFilter(parameters) }
}

function parametersOf({ name, key, state }: ToastFilter): Record<string, string | undefined> {
  return { name, key, state }
}

function backTo({ settings }: PageContext, ids: readonly string[], filter: ToastFilter): string {
  if (ids.length === 1) return pathTo(settings, 'toasts', ids[0]!)
  return withQuery(pathTo(settings, 'toasts'), parametersOf(filter))
}

async function countOf(context: PageContext, filter: ToastFilter): Promise<number> {
  let count = 0
  for await (const ids of matchingToasts(context, filter)) count += ids.length
  return count
}

async function nameOf(context: PageContext, id: string): Promise<string> {
  const toast = await readToast(context, BigInt(id))
  return toast ? `${toast.name} of ${toast.key}` : `toast ${id}`
}
