import { Layout } from '../components/layout.js'
import { Live, Name, Status } from '../components/parts.js'
import { ToastDetails } from '../components/toast-details.js'
import { pathTo, withQuery } from '../links.js'
import { idOf } from '../models.js'
import { type PageContext, PageError } from '../page.js'
import { readToast, type ShownToast, stateOf } from '../queries/toasts.js'
import { htmlResponse } from '../respond.js'

/** One toast: its value, and the state of its refresh. */
export async function toastPage(context: PageContext): Promise<Response> {
  const { settings, role, url } = context
  const toast = await toastOf(context)
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="toasts" title={`${toast.name} of ${toast.key}`} url={url}>
      <p class="crumbs">
        <a href={pathTo(settings, 'toasts')}>Toasts</a>
      </p>
      <Live id="toast">
        <header class="title">
          <div>
            <h1>
              <Name text={toast.name} />
            </h1>
            <p class="under">
              of <Name text={toast.key} /> <Status name={stateOf(toast)} />
            </p>
          </div>
          {!role.readOnly && (
            <p class="buttons">
              <a class="button primary" href={withQuery(pathTo(settings, 'toasts', 'confirm'), { id: toast.id })}>
                Refresh
              </a>
            </p>
          )}
        </header>
        <ToastDetails toast={toast} />
      </Live>
    </Layout>,
  )
}

async function toastOf(context: PageContext): Promise<ShownToast> {
  const toast = await readToast(context, idOf(context.path[1], 'toast'))
  if (toast) return toast
  throw new PageError(404, 'There is no such toast. It may have been removed with its record.')
}
