import { defineTargets } from '@async-gen/runtime'
import { Newsletter } from '../newsletter.js'
import { OrderClient } from '../order-client.js'
import { mailer, Orders } from '../records.js'

export const targets = defineTargets(() => ({ OrderClient, Newsletter, mailer, Orders }))
