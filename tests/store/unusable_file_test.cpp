// SPDX-License-Identifier: Apache-2.0
// A file that is damaged, not ours or not accessible: the history works without it, and uses it
// as soon as it can.
#include <sys/stat.h>

#include <algorithm>
#include <random>

#include "tests/store/history_fixture.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

// The history starts in memory and uses the file as soon as it can.
class UnusableFileTest : public HistoryTest {
 protected:
  void fill_and_close() {
    open();
    for (int n = 0; n < 500; ++n) {
      history_->record(learned("10.1." + std::to_string(n), "a", "g", now_ms()));
    }
    close();
  }

  void expect_from_memory(const std::string& words) {
    open();
    EXPECT_FALSE(history_->status().ok);
    EXPECT_NE(history_->status().error.find(words), std::string::npos) << history_->status().error;
    EXPECT_EQ(history_->status().openings, 0U);
    history_->record(learned("10.9.9.9", "a", "g", now_ms()));
    EXPECT_FALSE(history_->flush());
    EXPECT_TRUE(set_aside_files().empty());
  }

  void expect_written_now() {
    EXPECT_TRUE(history_->flush()) << history_->status().error;
    EXPECT_EQ(history_->status().openings, 1U);
    EXPECT_EQ(value("SELECT count(*) FROM clients WHERE client = '10.9.9.9'"), "1");
  }
};

TEST_F(UnusableFileTest, AFileOfANewerVersionIsLeftAlone) {
  fill_and_close();
  Connection(options_.path, Access::read_write)
      .execute("CREATE TABLE later (n); PRAGMA user_version = 50");

  expect_from_memory("version 50");

  EXPECT_EQ(value("SELECT count(*) FROM clients"), "500");
}

// The file's tables are the present ones, so its version number is damaged.
TEST_F(UnusableFileTest, ANewerVersionWithoutANewerSchemaIsDamage) {
  fill_and_close();
  Connection(options_.path, Access::read_write).execute("PRAGMA user_version = 50");

  open();
  history_->record(learned("10.9.9.9", "a", "g", now_ms()));

  EXPECT_TRUE(history_->flush()) << history_->status().error;
  EXPECT_TRUE(history_->status().set_aside.has_value());
}

TEST_F(UnusableFileTest, TheDatabaseOfAnotherProgramIsLeftAlone) {
  Connection(options_.path, Access::read_write).execute("CREATE TABLE theirs (n)");

  expect_from_memory("another program");

  EXPECT_EQ(value("SELECT count(*) FROM sqlite_schema"), "1");
}

TEST_F(UnusableFileTest, AMissingDirectoryIsNamed) {
  options_.path = directory_ / "missing" / "history.db";
  expect_from_memory("the directory '" + (directory_ / "missing").string() + "' does not exist");

  fs::create_directory(directory_ / "missing");

  expect_written_now();
}

TEST_F(UnusableFileTest, ADirectoryInPlaceOfTheFileIsNamed) {
  fs::create_directory(options_.path);
  expect_from_memory("is a directory");

  fs::remove(options_.path);

  expect_written_now();
}

TEST_F(UnusableFileTest, ADanglingLinkIsNamed) {
  fs::create_symlink(directory_ / "elsewhere" / "history.db", options_.path);
  expect_from_memory("is a link to");

  fs::create_directory(directory_ / "elsewhere");

  expect_written_now();
}

TEST_F(UnusableFileTest, APipeIsNamedAndNotWaitedFor) {
  ASSERT_EQ(::mkfifo(options_.path.c_str(), 0600), 0);
  expect_from_memory("is not a regular file: remove it, or set another");
  EXPECT_TRUE(reload().empty());

  fs::remove(options_.path);

  expect_written_now();
}

TEST_F(UnusableFileTest, AFileThatIsLockedAtStartIsReadLater) {
  fill_and_close();
  auto other = std::make_unique<Connection>(options_.path, Access::read_write);
  other->execute("PRAGMA locking_mode = EXCLUSIVE");
  other->execute("BEGIN EXCLUSIVE");

  expect_from_memory("locked");

  other.reset();
  expect_written_now();
  EXPECT_EQ(reload().size(), 501U);
}

// ---- contents of the file -------------------------------------------------------------

class DamageTest : public HistoryTest {
 protected:
  void fill_with(int clients) {
    open();
    for (int n = 0; n < clients; ++n) {
      history_->record(
          learned("10.1." + std::to_string(n), "topic/" + std::to_string(n), "g", now_ms()));
    }
    close();
    std::ifstream file(options_.path, std::ios::binary);
    sound_.assign(std::istreambuf_iterator<char>(file), {});
  }

  // Starts with the file's contents replaced by `bytes`. A new client must reach a file, although
  // the history may set one aside first.
  void expect_use_of(const std::string& bytes) {
    std::ofstream(options_.path, std::ios::binary | std::ios::trunc) << bytes;
    ASSERT_NO_THROW(open());
    reload();
    history_->record(learned("10.9.9.9", "a", "g", now_ms()));
    ASSERT_TRUE(history_->flush()) << history_->status().error;
    ASSERT_EQ(value("SELECT count(*) FROM clients WHERE client = '10.9.9.9'"), "1");
    close();
    for (const auto& entry : fs::directory_iterator(directory_)) fs::remove(entry.path());
  }

  std::string sound_;
};

TEST_F(DamageTest, AMissingTableIsDamage) {
  for (const std::string table : {"clients", "events", "state", "services", "hours"}) {
    SCOPED_TRACE(table);
    open();
    history_->flush();
    close();
    Connection(options_.path, Access::read_write).execute("DROP TABLE " + table);

    open();
    history_->record(learned("10.9.9.9", "a", "g", now_ms()));

    EXPECT_TRUE(history_->flush()) << history_->status().error;
    EXPECT_EQ(value("SELECT client FROM clients"), "10.9.9.9");
    EXPECT_TRUE(history_->status().set_aside.has_value());
    close();
    fs::remove(options_.path);
  }
}

TEST_F(DamageTest, NoByteOfTheHeaderStopsTheHistory) {
  fill_with(20);
  for (std::size_t offset = 0; offset < 100; ++offset) {
    for (const int change : {0x01, 0x80, 0xff}) {
      SCOPED_TRACE(testing::Message() << "byte " << offset << " ^ " << change);
      std::string damaged = sound_;
      damaged[offset] = static_cast<char>(damaged[offset] ^ change);
      ASSERT_NO_FATAL_FAILURE(expect_use_of(damaged));
    }
  }
}

TEST_F(DamageTest, NoRandomDamageStopsTheHistory) {
  fill_with(200);
  std::mt19937 random(12);
  const auto below = [&](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    std::string damaged = sound_;
    for (std::size_t places = 1 + below(4); places > 0; --places) {
      const std::size_t at = below(2) == 0 ? below(4096) : below(damaged.size());
      for (std::size_t i = at, end = std::min(at + 1 + below(64), damaged.size()); i < end; ++i) {
        damaged[i] = static_cast<char>(below(256));
      }
    }
    if (below(8) == 0) damaged.resize(below(damaged.size()));
    ASSERT_NO_FATAL_FAILURE(expect_use_of(damaged));
  }
}

TEST_F(DamageTest, NoByteOfADamagedFileReachesTheLogRaw) {
  fill_with(20);
  const std::string schema = "CREATE INDEX clients_by";
  ASSERT_NE(sound_.find(schema), std::string::npos);
  std::string damaged = sound_;
  damaged.replace(damaged.find(schema), 20, "CREATE \x1b[31m\nx\xff y     ");

  std::ofstream(options_.path, std::ios::binary | std::ios::trunc) << damaged;
  open();

  EXPECT_TRUE(history_->status().set_aside.has_value());
  EXPECT_EQ(logged("\x1b"), 0);
  EXPECT_EQ(logged("\xff"), 0);
}

TEST_F(UnusableFileTest, OthersCannotReadTheFilesWhateverTheUmask) {
  const mode_t before = ::umask(0);
  open();
  history_->record(learned("10.1.1.1", "a", "g", now_ms()));
  history_->flush();

  for (const char* part : {"", "-wal", "-shm"}) {
    const auto permissions = fs::status(options_.path.string() + part).permissions();
    EXPECT_EQ(permissions & ~fs::perms(0640), fs::perms::none) << part;
  }
  close();
  fs::permissions(options_.path, fs::perms(0666));
  open();
  EXPECT_EQ(fs::status(options_.path).permissions(), fs::perms(0640));
  ::umask(before);
}

}  // namespace
}  // namespace remora
