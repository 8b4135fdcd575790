import type { DashboardSettings } from './options.js'

/** The headers of each response. Pages hold data of users, so nothing keeps them. */
export function securityHeaders({ frameAncestors }: DashboardSettings): Record<string, string> {
  const ancestors = frameAncestors.length > 0 ? frameAncestors.join(' ') : "'none'"
  const own = "style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'"
  return {
    'content-security-policy': `default-src 'none'; ${own}; base-uri 'none'; frame-ancestors ${ancestors}`,
    ...(frameAncestors.length === 0 && { 'x-frame-options': 'DENY' }),
    'x-content-type-options': 'nosniff',
    // With `no-referrer`, browsers would send forms with the origin `null`, which the check of the origin refuses.
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  }
}
