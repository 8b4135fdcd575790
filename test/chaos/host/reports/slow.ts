import { holdUntilReleased } from '../effects.js'
import { Report } from '../report.js'

export class Slow extends Report {
  override async build() {
    await holdUntilReleased('report')
    return { total: 0 }
  }
}
