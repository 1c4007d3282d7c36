// SPDX-License-Identifier: Apache-2.0
#include "store/database.h"

#include <gtest/gtest.h>

#include "store/history_file.h"
#include "store/printable.h"
#include "tests/store/faulty_disk.h"
#include "tests/store/history_fixture.h"

namespace remora {
namespace {

using DatabaseTest = HistoryTest;

int code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const DatabaseError& error) {
    return error.extended_code();
  }
  return SQLITE_OK;
}

TEST_F(DatabaseTest, ATransactionRollsBackUnlessCommitted) {
  Connection connection(options_.path, Access::read_write);
  connection.execute("CREATE TABLE numbers (n INTEGER)");
  {
    Transaction transaction(connection);
    connection.execute("INSERT INTO numbers VALUES (1)");
  }
  {
    Transaction transaction(connection);
    connection.execute("INSERT INTO numbers VALUES (2)");
    transaction.commit();
  }

  EXPECT_EQ(rows("SELECT n FROM numbers"), std::vector<std::string>{"2"});
}

TEST_F(DatabaseTest, AnErrorSaysWhatWasTriedAndKeepsTheExtendedCode) {
  Connection connection(options_.path, Access::read_write);
  connection.execute("CREATE TABLE numbers (n INTEGER UNIQUE)");
  connection.execute("INSERT INTO numbers VALUES (1)");

  try {
    Statement(connection, "INSERT INTO numbers VALUES (?1)").run(std::int64_t{1});
    FAIL() << "no error";
  } catch (const DatabaseError& error) {
    EXPECT_EQ(error.extended_code(), SQLITE_CONSTRAINT_UNIQUE);
    EXPECT_EQ(error.code(), SQLITE_CONSTRAINT);
    EXPECT_NE(std::string(error.what()).find("INSERT INTO numbers"), std::string::npos);
  }
}

TEST_F(DatabaseTest, TellsAFullDiskFromAFailingOne) {
  FaultyDisk disk;
  Connection connection(options_.path, Access::read_write);
  connection.execute("CREATE TABLE numbers (n INTEGER)");

  disk.fail_writes(SQLITE_FULL);
  EXPECT_EQ(code_of([&] { connection.execute("INSERT INTO numbers VALUES (1)"); }), SQLITE_FULL);
  disk.fail_writes(SQLITE_IOERR_WRITE);
  EXPECT_EQ(code_of([&] { connection.execute("INSERT INTO numbers VALUES (1)"); }),
            SQLITE_IOERR_WRITE);
}

TEST_F(DatabaseTest, AStatementForgetsTheValuesOfItsLastRun) {
  Connection connection(options_.path, Access::read_write);
  connection.execute("CREATE TABLE pairs (a, b)");
  Statement insert(connection, "INSERT INTO pairs VALUES (?1, ?2)");

  insert.run("one", "two");
  insert.run("three");

  EXPECT_EQ(rows("SELECT a, b FROM pairs"), (std::vector<std::string>{"one|two", "three|-"}));
}

TEST_F(DatabaseTest, WhatTakesTooLongIsInterrupted) {
  Connection connection(options_.path, Access::read_write);
  const std::string endless =
      "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

  const TimeLimit limit(connection, 0ms);

  EXPECT_EQ(code_of([&] { connection.integer(endless); }), SQLITE_INTERRUPT);
}

TEST(PrintableTest, OnlyWhatATerminalMayBeFedWithIsPrintable) {
  const std::vector<std::string> printable = {
      "", "measurements/temperature", "\u00e4/\u20ac/\U0001f41f", "\u00a0", "\ud7ff", "\U0010ffff"};
  const std::vector<std::string> odd = {std::string(1, '\0'),
                                        "\x1b[31m",
                                        "a\nb",
                                        "\x7f",
                                        "\xc2\x9b",
                                        "\x80",
                                        "\xc0\xaf",
                                        "\xe2\x82",
                                        "\xe0\x80\x80",
                                        "\xed\xa0\x80",
                                        "\xf0\x80\x80\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xff",
                                        "\xc3",
                                        "\xf0\x9f\x90"};

  for (const std::string& bytes : printable) EXPECT_TRUE(is_printable(bytes)) << bytes;
  for (const std::string& bytes : odd)
    EXPECT_FALSE(is_printable(bytes)) << testing::PrintToString(bytes);
}

}  // namespace
}  // namespace remora
