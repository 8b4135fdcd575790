import { refreshReportTask } from '@async-gen/runtime'
import { Report } from '../report.js'

/** Builds one report that is missing or stale. */
export default refreshReportTask(Report, new URL('../reports/', import.meta.url))
