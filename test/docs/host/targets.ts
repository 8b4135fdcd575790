import { defineTargets, limit } from '@async-gen/runtime'
import { mailer } from '../mailer.js'
import { Newsletter } from '../newsletter.js'
import { OrderClient } from '../order-client.js'
import { Orders } from '../records.js'
import { Shopify } from '../shopify.js'
import { UrgentAttempt } from './urgent_attempt.js'

const subclasses: Record<string, object> = { UrgentAttempt }

export const targets = defineTargets(() => ({ OrderClient, Newsletter, mailer, Orders, Shopify }), {
  subclasses,
  limits: [limit(Shopify, { key: (shop) => shop, concurrency: 2 })],
})
