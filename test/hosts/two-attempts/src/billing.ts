import { AccountAttempt } from './async/account_attempt.js'
import { Audit } from './audit.js'
import { UrgentAttempt } from './urgent_attempt.js'

/** A target that records more calls, with another model of attempts and with a subclass. */
export class Billing {
  static async charge(orderNumber: number): Promise<string> {
    await AccountAttempt.async(Audit).note(`account ${orderNumber}`)
    await UrgentAttempt.async(Audit).note(`urgent ${orderNumber}`)
    return 'charged'
  }
}
