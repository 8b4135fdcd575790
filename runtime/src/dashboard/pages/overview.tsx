import { queueStatistics } from '../../worker/queue-statistics.js'
import { Layout } from '../components/layout.js'
import type { PageContext } from '../page.js'
import { htmlResponse } from '../respond.js'

export async function overviewPage({ db, settings }: PageContext): Promise<Response> {
  const { workers, tables } = await queueStatistics(db)
  return htmlResponse(
    settings,
    <Layout settings={settings} title="Overview">
      <p>{`${workers} workers alive`}</p>
      <ul>
        {tables.map(({ table, due, running, failed }) => (
          <li key={table}>{`${table}: ${due} due, ${running} running, ${failed} failed`}</li>
        ))}
      </ul>
    </Layout>,
  )
}
