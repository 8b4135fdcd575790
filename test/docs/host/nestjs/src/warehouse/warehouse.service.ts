import { Injectable } from '@nestjs/common'

@Injectable()
export class WarehouseService {
  fulfill(orderNumber: number) {
    return { parcel: `parcel-${orderNumber}` }
  }
}
