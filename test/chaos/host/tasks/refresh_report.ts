import { refreshReportTask } from '@async-gen/runtime'
import { Report } from '../report.js'

export default refreshReportTask(Report, new URL('../reports/', import.meta.url))
