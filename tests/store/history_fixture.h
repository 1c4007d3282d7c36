// SPDX-License-Identifier: Apache-2.0
// A history in a directory of its own, and the verbs of its tests.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "store/database.h"
#include "store/history.h"

namespace remora {

using namespace std::chrono_literals;

inline constexpr std::int64_t kMinute = 60'000;
inline constexpr std::int64_t kHour = 60 * kMinute;
inline constexpr std::int64_t kDay = 24 * kHour;

inline std::int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

inline constexpr const char* kMqtt = "10.1.50.200:1883";

// A correctly predicted topic of `client`, whose lesson has the same time.
inline Observation learned(std::string client, std::string topic, std::string group,
                           std::int64_t at_ms) {
  return {at_ms,
          kMqtt,
          std::move(client),
          std::move(topic),
          std::move(group),
          std::nullopt,
          Action::learned,
          static_cast<std::uint64_t>(at_ms)};
}

inline Observation mispredicted(std::string client, std::string topic, std::string from_group,
                                std::string group, std::int64_t at_ms,
                                Action action = Action::reset) {
  return {at_ms,
          kMqtt,
          std::move(client),
          std::move(topic),
          std::move(group),
          std::move(from_group),
          action,
          static_cast<std::uint64_t>(at_ms)};
}

// Clocks that a test sets while the writer reads them.
struct TestClocks {
  std::atomic<std::int64_t> unix_ms = 1'774'440'000'000;  // 2026-03-25 12:00:00 UTC
  std::atomic<std::int64_t> uptime_ms = 100'000'000;
  std::string boot = "boot-1";

  // Moves both clocks on.
  void advance(std::int64_t ms) {
    unix_ms += ms;
    uptime_ms += ms;
  }
  void reboot() {
    uptime_ms = 5000;
    boot += "+";
  }

  HistoryClocks clocks() {
    return {.unix_ms = [this] { return unix_ms.load(); },
            .uptime_ms = [this] { return uptime_ms.load(); },
            .boot = boot};
  }
};

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() {
    std::string name = (std::filesystem::temp_directory_path() / "remora-history-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    directory_ = name;
    options_.path = directory_ / "history.db";
    // Only flush() writes, unless a test asks for more.
    options_.commit_every = 1h;
    options_.look_every = 1h;
    options_.retry_after = 1h;
    options_.check_limit = 1h;  // as long as a busy machine takes
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "history", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_)));
  }

  ~HistoryTest() override {
    history_.reset();
    spdlog::set_default_logger(log_before_);
    std::filesystem::remove_all(directory_);
  }

  void open() { history_ = std::make_unique<History>(options_); }
  void close() { history_.reset(); }
  void reopen() {
    close();
    open();
  }

  // Opens the history with these clocks.
  void open(TestClocks& clocks) {
    options_.clocks = clocks.clocks();
    open();
  }

  // The rows as a person would read them, as `a|b|c` with `-` for NULL.
  std::vector<std::string> rows(const std::string& sql) const {
    Connection connection(options_.path, Access::read_only);
    Statement statement(connection, sql);
    std::vector<std::string> found;
    while (statement.step()) {
      std::string row;
      for (int column = 0; column < statement.columns(); ++column) {
        if (column > 0) row += '|';
        row += statement.is_null(column) ? "-" : statement.bytes(column);
      }
      found.push_back(row);
    }
    return found;
  }

  std::string value(const std::string& sql) const {
    const auto found = rows(sql);
    return found.size() == 1 ? found.front() : std::to_string(found.size()) + " rows";
  }

  // All clients, loaded as the daemon does it.
  std::vector<KnownClient> reload(std::size_t batch = 4096,
                                  std::uint64_t first = std::numeric_limits<std::uint64_t>::max()) {
    std::vector<KnownClient> clients;
    history_->for_each_client(
        [&](std::span<const KnownClient> part) {
          EXPECT_LE(part.size(), batch);
          clients.insert(clients.end(), part.begin(), part.end());
        },
        batch, first);
    return clients;
  }

  std::vector<std::filesystem::path> set_aside_files() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (entry.path().string().find(".damaged-") != std::string::npos)
        found.push_back(entry.path());
    }
    return found;
  }

  int logged(const std::string& words) const {
    const std::string log = log_.str();
    int count = 0;
    for (auto at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) ++count;
    return count;
  }

  std::filesystem::path directory_;
  HistoryOptions options_;
  std::unique_ptr<History> history_;

 private:
  std::ostringstream log_;
  std::shared_ptr<spdlog::logger> log_before_ = spdlog::default_logger();
};

}  // namespace remora
