export class OrderClient {
  static async fulfill({ orderNumber }: { orderNumber: number }) {
    return { parcel: `parcel-${orderNumber}` }
  }
}
