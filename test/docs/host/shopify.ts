export class Shopify {
  static async push(_shop: string, _product: number): Promise<void> {}
}
