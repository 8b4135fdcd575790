ALTER TABLE "attempts" ADD COLUMN "account" TEXT;
