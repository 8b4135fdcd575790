import { prisma } from '../../db.js'
import { Report } from '../report.js'

/**
 * Give it arguments with `extends Report<{ month: string }>`: there is one report for each set of them, in `this.args`.
 * With `static expireIn = '1 day'` it is built again when it is older than that; without, when somebody calls `expire()`.
 */
export class MonthlySales extends Report<{ month: string }> {
  /** What its rows are called, whatever a bundler makes of the class's name. */
  static override readonly type = 'MonthlySales'

  /**
   * Runs in the worker. A reader calls `(await MonthlySales.create({})).build()`, and gets what is there at once.
   * A long build may take `{ signal, progress }: Computation`, to be stopped and to tell how far it is.
   */
  override async build() {
    return { month: this.args.month, orders: await prisma.order.count() }
  }
}
