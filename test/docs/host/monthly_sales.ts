import { Report } from '../report.js'

export class MonthlySales extends Report<{ month: string; verbose?: boolean }> {
  static override readonly type: string = 'MonthlySales'

  override async build() {
    return { total: 0 }
  }
}
