// SPDX-License-Identifier: Apache-2.0
// The history while the disk or the file fails, or a person interferes.
#include "store/history_file.h"
#include "tests/store/faulty_disk.h"
#include "tests/store/history_fixture.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

class HistoryFailureTest : public HistoryTest {
 protected:
  // Fills a sound file with some hundred pages.
  void fill_and_close() {
    open();
    for (int n = 0; n < 5000; ++n) {
      history_->record(
          learned("10.1." + std::to_string(n), "measurements/temperature", "g", now_ms()));
    }
    close();
  }

  void overwrite(std::uintmax_t offset, const std::string& bytes) {
    std::fstream file(options_.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
  }

  // Damages the file as a stray writer would: empties the log into the file, and overwrites all
  // its pages except the header.
  void damage_under_the_writer() {
    Connection(options_.path, Access::read_write).execute("PRAGMA wal_checkpoint(TRUNCATE)");
    overwrite(4096, std::string(fs::file_size(options_.path) - 4096, '\xee'));
  }

  // Expects that the file was set aside and that a new one works.
  void expect_a_fresh_start() {
    const auto status = history_->status();
    EXPECT_TRUE(status.ok) << status.error;
    ASSERT_TRUE(status.set_aside.has_value());
    EXPECT_TRUE(fs::exists(*status.set_aside));
    EXPECT_EQ(logged("is damaged"), 1);
    history_->record(learned("10.9.9.9", "a", "g", now_ms()));
    EXPECT_TRUE(history_->flush());
    EXPECT_EQ(value("SELECT client FROM clients WHERE client LIKE '10.9.%'"), "10.9.9.9");
    EXPECT_EQ(value("PRAGMA quick_check"), "ok");
  }
};

// ---- damaged files ------------------------------------------------------------

TEST_F(HistoryFailureTest, GarbageIsSetAside) {
  const std::string garbage(10'000, 'g');
  std::ofstream(options_.path) << garbage;

  open();

  expect_a_fresh_start();
  std::ifstream kept(*history_->status().set_aside);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(kept), {}), garbage);
}

TEST_F(HistoryFailureTest, ATruncatedFileIsSetAside) {
  fill_and_close();
  fs::resize_file(options_.path, fs::file_size(options_.path) / 2 + 100);

  open();

  expect_a_fresh_start();
}

TEST_F(HistoryFailureTest, AFileOfItsFirstBytesIsSetAside) {
  fill_and_close();
  fs::resize_file(options_.path, 60);

  open();

  expect_a_fresh_start();
}

TEST_F(HistoryFailureTest, AZeroedPageIsSetAside) {
  fill_and_close();
  overwrite(fs::file_size(options_.path) / 2 / 4096 * 4096, std::string(4096, '\0'));

  open();

  expect_a_fresh_start();
}

TEST_F(HistoryFailureTest, AZeroedHeaderIsSetAside) {
  fill_and_close();
  overwrite(0, std::string(4096, '\0'));

  open();

  expect_a_fresh_start();
}

TEST_F(HistoryFailureTest, TheLogOfADamagedFileGoesWithIt) {
  std::ofstream(options_.path) << std::string(10'000, 'g');
  std::ofstream(options_.path.string() + "-wal") << "log";

  open();

  expect_a_fresh_start();
  EXPECT_TRUE(fs::exists(history_->status().set_aside->string() + "-wal"));
}

TEST_F(HistoryFailureTest, NoDamagedFileReplacesAnother) {
  for (int n = 0; n < 3; ++n) {
    close();
    std::ofstream(options_.path, std::ios::trunc) << std::string(10'000, 'g');
    fs::remove(options_.path.string() + "-wal");
    open();
  }

  EXPECT_EQ(set_aside_files().size(), 3U);
}

TEST_F(HistoryFailureTest, AnEmptyFileIsSimplyBegun) {
  std::ofstream(options_.path).flush();

  open();

  EXPECT_TRUE(history_->status().ok);
  EXPECT_FALSE(history_->status().set_aside.has_value());
}

TEST_F(HistoryFailureTest, DamageMetWhileRunningSetsTheFileAsideAndLosesNothingQueued) {
  FaultyDisk disk;
  open();
  history_->record(learned("10.1.1.1", "a", "g", now_ms()));
  history_->flush();
  disk.fail_writes(SQLITE_FULL);
  history_->record(learned("10.1.1.2", "a", "g", now_ms()));
  EXPECT_FALSE(history_->flush());
  disk.heal();
  damage_under_the_writer();

  history_->record(learned("10.1.1.3", "a", "g", now_ms()));
  EXPECT_TRUE(history_->flush());

  EXPECT_EQ(rows("SELECT client FROM clients ORDER BY client"),
            (std::vector<std::string>{"10.1.1.2", "10.1.1.3"}));
  expect_a_fresh_start();
}

TEST_F(HistoryFailureTest, DamageMetByTheReaderSetsTheFileAside) {
  fill_and_close();
  options_.check_limit = 0ms;  // so that the start does not find the damage
  overwrite(fs::file_size(options_.path) / 2 / 4096 * 4096, std::string(4096, '\0'));
  open();

  const auto clients = reload();
  history_->flush();

  EXPECT_LT(clients.size(), 5000U);
  expect_a_fresh_start();
}

TEST_F(HistoryFailureTest, ADiskThatDamagesEveryFileIsNotLitteredWithThem) {
  FaultyDisk disk;
  open();
  history_->flush();
  disk.fail_writes(SQLITE_CORRUPT);

  for (int n = 0; n < 5; ++n) {
    history_->record(learned("10.1.1.1", "a", "g", now_ms()));
    EXPECT_FALSE(history_->flush());
  }

  EXPECT_EQ(logged("is damaged"), 1);
  disk.heal();
  EXPECT_TRUE(history_->flush());
  EXPECT_EQ(history_->status().written, 5U);
}

// ---- a failing disk -----------------------------------------------------------

class FailingDiskTest : public HistoryFailureTest, public testing::WithParamInterface<int> {};

TEST_P(FailingDiskTest, GoesOnFromMemoryAndLosesNothingWhileThereIsRoom) {
  FaultyDisk disk;
  open();
  history_->flush();

  disk.fail_writes(GetParam());
  for (int n = 0; n < 100; ++n) {
    history_->record(learned("10.1.1." + std::to_string(n), "a", "g", now_ms()));
    EXPECT_FALSE(history_->flush());
  }

  EXPECT_FALSE(history_->status().ok);
  EXPECT_NE(history_->status().error, "");
  EXPECT_EQ(history_->status().queue_depth, 100U);
  EXPECT_EQ(logged("cannot be written"), 1);

  disk.heal();
  EXPECT_TRUE(history_->flush());

  EXPECT_TRUE(history_->status().ok);
  EXPECT_EQ(history_->status().error, "");
  EXPECT_EQ(history_->status().queue_depth, 0U);
  EXPECT_EQ(value("SELECT count(*) FROM clients"), "100");
  EXPECT_EQ(logged("is written again"), 1);
}

INSTANTIATE_TEST_SUITE_P(Codes, FailingDiskTest,
                         testing::Values(SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_READONLY));

TEST_F(HistoryFailureTest, TriesAgainByItself) {
  options_.commit_every = 1ms;
  options_.retry_after = 1ms;
  FaultyDisk disk;
  open();
  history_->flush();
  disk.fail_writes(SQLITE_FULL);

  history_->record(learned("10.1.1.1", "a", "g", now_ms()));
  disk.await_failures(3);
  disk.heal();
  history_->flush();

  EXPECT_EQ(history_->status().written, 1U);
  EXPECT_EQ(logged("cannot be written"), 1);
}

TEST_F(HistoryFailureTest, ALongFailureKeepsTheNewestOfEachClient) {
  options_.queue_limit = 10;
  FaultyDisk disk;
  open();
  history_->flush();
  disk.fail_writes(SQLITE_FULL);

  const std::int64_t now = now_ms();
  for (int n = 0; n < 1000; ++n) {
    history_->record(learned("10.1.1." + std::to_string(n % 5), std::to_string(n), "g", now + n));
  }
  EXPECT_FALSE(history_->flush());
  EXPECT_EQ(history_->status().queue_depth, 15U);
  disk.heal();
  EXPECT_TRUE(history_->flush());

  EXPECT_EQ(rows("SELECT topic FROM clients ORDER BY client"),
            (std::vector<std::string>{"995", "996", "997", "998", "999"}));
  EXPECT_EQ(history_->status().written, 15U);
  EXPECT_EQ(history_->status().merged, 985U);
  EXPECT_EQ(history_->status().lost, 0U);
}

TEST_F(HistoryFailureTest, ADiskThatIsFullAtStartDoesNotKeepTheDaemonFromStarting) {
  FaultyDisk disk;
  disk.fail_writes(SQLITE_FULL);

  open();
  EXPECT_FALSE(history_->status().ok);
  history_->record(learned("10.1.1.1", "a", "g", now_ms()));
  EXPECT_TRUE(reload().empty());

  disk.heal();
  EXPECT_TRUE(history_->flush());
  EXPECT_EQ(value("SELECT client FROM clients"), "10.1.1.1");
}

TEST_F(HistoryFailureTest, ClientsAreReloadedAlsoFromAFullDisk) {
  FaultyDisk disk;
  fill_and_close();
  disk.fail_writes(SQLITE_FULL);
  disk.fail_shared_memory();

  open();
  EXPECT_FALSE(history_->status().ok);
  EXPECT_EQ(reload().size(), 5000U);

  disk.heal();
  history_->record(learned("10.9.9.9", "a", "g", now_ms()));
  EXPECT_TRUE(history_->flush());
  EXPECT_EQ(history_->status().clients, 5001U);
}

TEST_F(HistoryFailureTest, ClosingOnAFailingDiskEndsAndSaysWhatIsLost) {
  FaultyDisk disk;
  open();
  history_->flush();
  disk.fail_writes(SQLITE_IOERR_WRITE);
  history_->record(learned("10.1.1.1", "a", "g", now_ms()));

  close();

  EXPECT_EQ(logged("1 observations were never written"), 1);
}

// ---- reports that are read twice ------------------------------------------------

class RingTest : public HistoryFailureTest {
 protected:
  RingTest() { options_.ring = "7"; }

  void report(std::uint64_t position, const std::string& client) {
    Observation seen = mispredicted(client, "a", "g1", "g2", now_ms());
    seen.position = position;
    history_->record(std::move(seen));
  }

  std::string events() { return value("SELECT sum(count) FROM events"); }
};

TEST_F(RingTest, WhatTheFileHasIsNotWrittenAgain) {
  open();
  for (std::uint64_t position : {100, 200, 300}) report(position, "10.1.1.1");
  history_->flush();
  reopen();

  for (std::uint64_t position : {200, 300, 400}) report(position, "10.1.1.1");
  EXPECT_TRUE(history_->flush());

  EXPECT_EQ(events(), "4");
  EXPECT_EQ(history_->committed_to(1000), 1000U) << "nothing waits";
}

TEST_F(RingTest, AnotherRingBeginsAnew) {
  open();
  report(300, "10.1.1.1");
  close();
  options_.ring = "8";
  open();

  report(100, "10.1.1.1");
  history_->flush();

  EXPECT_EQ(events(), "2");
}

TEST_F(RingTest, WhatWaitsIsNotCommitted) {
  FaultyDisk disk;
  options_.queue_limit = 2;
  open();
  report(100, "10.1.1.1");
  history_->flush();
  disk.fail_writes(SQLITE_FULL);
  // The queue holds two in order; after that it keeps only the newest of each client.
  for (std::uint64_t position : {200, 300, 400, 500, 600, 700}) {
    report(position, "10.1.1." + std::to_string(position / 100 % 2));
  }

  EXPECT_FALSE(history_->flush());
  EXPECT_EQ(history_->committed_to(700), 100U);

  disk.heal();
  EXPECT_TRUE(history_->flush());
  EXPECT_EQ(history_->committed_to(700), 700U);
  EXPECT_EQ(value("SELECT ring_position FROM state"), "700");
}

TEST_F(RingTest, AFileThatWasReplacedGetsWhatItDoesNotHave) {
  open();
  report(100, "10.1.1.1");
  close();
  const fs::path backup = directory_ / "backup.db";
  fs::copy_file(options_.path, backup);
  open();
  report(200, "10.1.1.1");
  history_->flush();
  fs::rename(backup, options_.path);

  report(200, "10.1.1.1");  // read again by a daemon that was killed
  EXPECT_TRUE(history_->flush()) << history_->status().error;

  EXPECT_EQ(events(), "2");
}

// ---- people and other programs ------------------------------------------------

TEST_F(HistoryFailureTest, AFileThatIsMovedWhileInUseHasAllRows) {
  open();
  for (int n = 0; n < 100; ++n) {
    history_->record(learned("10.1.1." + std::to_string(n), "a", "g", now_ms()));
  }
  history_->flush();
  const fs::path archive = directory_ / "archive.db";
  fs::rename(options_.path, archive);

  history_->record(learned("10.1.2.1", "a", "g", now_ms()));
  EXPECT_TRUE(history_->flush()) << history_->status().error;

  EXPECT_EQ(rows("SELECT client FROM clients"), std::vector<std::string>{"10.1.2.1"});
  Connection moved(archive, Access::read_only);
  EXPECT_EQ(moved.integer("SELECT count(*) FROM clients"), 100);
  EXPECT_EQ(moved.text("PRAGMA quick_check"), "ok");
  EXPECT_EQ(history_->status().openings, 2U);
}

class OverwrittenFileTest : public HistoryFailureTest {
 protected:
  // Backs up a file of ten clients, then adds hundreds more.
  void fill_and_back_up() {
    open();
    record_clients("10.1.1.", 10);
    close();
    fs::copy_file(options_.path, backup_);
    open();
    record_clients("10.1.2.", 500);
    EXPECT_TRUE(history_->flush());
  }

  void record_clients(const std::string& network, int count) {
    for (int n = 0; n < count; ++n) {
      history_->record(learned(network + std::to_string(n), "a", "g", now_ms()));
    }
  }

  // Writes the backup into the same file, as cp does.
  void restore() {
    std::ifstream from(backup_, std::ios::binary);
    std::ofstream(options_.path, std::ios::binary | std::ios::trunc) << from.rdbuf();
  }

  std::size_t logs_aside() const {
    std::size_t found = 0;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      found += entry.path().string().find(".replaced-") != std::string::npos ? 1 : 0;
    }
    return found;
  }

  const fs::path backup_ = directory_ / "backup.db";
};

TEST_F(OverwrittenFileTest, ARestoredBackupIsUsed) {
  fill_and_back_up();
  restore();

  history_->record(learned("10.1.3.1", "a", "g", now_ms()));
  EXPECT_FALSE(history_->flush()) << "it may not be whole yet";
  EXPECT_TRUE(history_->flush()) << history_->status().error;

  EXPECT_EQ(value("SELECT count(*) FROM clients WHERE client LIKE '10.1.1.%'"), "10");
  EXPECT_EQ(value("SELECT count(*) FROM clients"), "11");
  EXPECT_EQ(value("PRAGMA quick_check"), "ok");
  EXPECT_EQ(logs_aside(), 1U);
  EXPECT_TRUE(set_aside_files().empty());
  EXPECT_EQ(history_->status().openings, 2U);
}

TEST_F(OverwrittenFileTest, ABackupThatIsRestoredBeforeTheEndIsLeftAsItIs) {
  fill_and_back_up();
  restore();

  reopen();

  EXPECT_EQ(value("SELECT count(*) FROM clients"), "10");
  EXPECT_EQ(value("PRAGMA quick_check"), "ok");
}

TEST_F(OverwrittenFileTest, RowsThatAnotherProgramChangesAreNoOverwriting) {
  fill_and_back_up();
  {
    Connection other(options_.path, Access::read_write);
    other.execute("DELETE FROM clients WHERE client LIKE '10.1.1.%'");
    other.execute("PRAGMA wal_checkpoint(PASSIVE)");
  }

  history_->record(learned("10.1.3.1", "a", "g", now_ms()));
  EXPECT_TRUE(history_->flush()) << history_->status().error;

  EXPECT_EQ(value("SELECT count(*) FROM clients"), "501");
  EXPECT_EQ(logs_aside(), 0U);
}

TEST_F(HistoryFailureTest, AFileThatIsDeletedWhileInUseIsBegunAnew) {
  open();
  history_->record(learned("10.1.1.1", "a", "g", now_ms()));
  history_->flush();
  fs::remove(options_.path);

  history_->record(learned("10.1.1.2", "a", "g", now_ms()));
  EXPECT_TRUE(history_->flush());

  EXPECT_EQ(rows("SELECT client FROM clients"), std::vector<std::string>{"10.1.1.2"});
  EXPECT_EQ(logged("moved or deleted"), 1);
}

}  // namespace
}  // namespace remora
