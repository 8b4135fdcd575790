CREATE TABLE "Entry" (
    "id" SERIAL NOT NULL,
    "call" TEXT NOT NULL,
    "run" INTEGER NOT NULL,
    "pid" INTEGER NOT NULL,

    CONSTRAINT "Entry_pkey" PRIMARY KEY ("id")
);

ALTER TABLE "attempts" ADD COLUMN "shop" TEXT;
