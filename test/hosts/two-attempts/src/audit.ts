import { Attempt } from './async/attempt.js'

export class Audit {
  static async note(text: string): Promise<string> {
    return `${Attempt.current().attempt.target} ${text}`
  }
}
