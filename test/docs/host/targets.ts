import { defineTargets } from '@async-gen/runtime'
import { Newsletter } from '../newsletter.js'
import { OrderClient } from '../order-client.js'
import { mailer, Orders } from '../records.js'
import { UrgentAttempt } from './urgent_attempt.js'

const subclasses: Record<string, object> = { UrgentAttempt }

export const targets = defineTargets(() => ({ OrderClient, Newsletter, mailer, Orders }), { subclasses })
