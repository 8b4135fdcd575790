import { Module } from '@nestjs/common'
import { OrdersController } from './orders/orders.controller'
import { OrdersService } from './orders/orders.service'
import { PrismaService } from './prisma/prisma.service'
import { WarehouseService } from './warehouse/warehouse.service'

@Module({ controllers: [OrdersController], providers: [OrdersService, PrismaService, WarehouseService] })
export class AppModule {}
