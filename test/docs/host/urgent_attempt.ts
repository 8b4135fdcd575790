import { Attempt } from './attempt.js'

export class UrgentAttempt extends Attempt {}
