// SPDX-License-Identifier: Apache-2.0
//
// The control socket, used by the real client and by badly behaved ones.
#include "daemon/control/control.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cli/client.h"

namespace remora {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

class ControlTest : public testing::Test {
 protected:
  explicit ControlTest(std::chrono::milliseconds patience = Control::kPatience)
      : folder_(fs::temp_directory_path() / ("remora-control-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    control_ = std::make_unique<Control>(
        loop_, path(),
        [this](const json& request, const Peer&) -> json {
          if (request.at("request") == "fail") throw std::runtime_error("it failed");
          if (request.at("request") == "large") {
            ++large_answers_;
            return {{"text", std::string(1 << 20, 'x')}};
          }
          if (request.at("request") == "open")
            return {{"opened", static_cast<bool>(Fd(::open("/dev/null", O_RDONLY)))}};
          if (request.at("request") == "bytes") return {{"topic", "\xff\xfe"}};
          return {{"echo", request}};
        },
        patience);
    loop_.every(std::chrono::milliseconds(5), "stop", [this] {
      control_->look();
      if (done_) loop_.stop();
    });
    server_ = std::thread([this] { loop_.run(); });
  }
  ~ControlTest() override {
    done_ = true;
    server_.join();
    control_.reset();
    fs::remove_all(folder_);
  }

  fs::path path() const { return folder_ / "x.sock"; }

  Fd connected() const {
    Fd stream(::socket(AF_UNIX, SOCK_STREAM, 0));
    connect_to_daemon(stream);
    return stream;
  }

  void connect_to_daemon(const Fd& stream) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().native().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(stream.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
  }

  // Sends raw bytes and returns what comes back until the daemon closes or a
  // whole line is there.
  std::string raw(const std::string& bytes) const {
    const Fd stream = connected();
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t count =
          send(stream.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return "";  // closed by the daemon
      sent += static_cast<std::size_t>(count);
    }
    std::string text;
    char chunk[4096];
    while (!text.ends_with('\n')) {
      const ssize_t count = recv(stream.get(), chunk, sizeof(chunk), 0);
      if (count <= 0) break;
      text.append(chunk, static_cast<std::size_t>(count));
    }
    return text;
  }

  fs::path folder_;
  EventLoop loop_;
  std::unique_ptr<Control> control_;
  std::atomic<bool> done_ = false;
  std::atomic<int> large_answers_ = 0;
  std::thread server_;
};

TEST_F(ControlTest, AnswersARequest) {
  EXPECT_EQ(ask(path(), {{"request", "status"}}).at("echo").at("request"), "status");
}

TEST_F(ControlTest, ARefusalCarriesItsReason) {
  try {
    ask(path(), {{"request", "fail"}});
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "it failed");
  }
}

TEST_F(ControlTest, WhatIsNoJsonIsRefusedAndTheNextRequestAnswered) {
  for (const char* line : {"\n", "nonsense\n", "[]\n", "{}\n", "{\"request\":1\n", "\xff\xfe\n"}) {
    const json answer = json::parse(raw(line));
    EXPECT_FALSE(answer.at("ok").get<bool>()) << line;
    EXPECT_FALSE(answer.at("error").get<std::string>().empty()) << line;
  }
  EXPECT_NO_THROW(ask(path(), {{"request", "status"}}));
}

TEST_F(ControlTest, AnEndlessRequestIsCutOff) {
  EXPECT_EQ(raw(std::string(1 << 20, 'x')), "");
  EXPECT_NO_THROW(ask(path(), {{"request", "status"}}));
}

TEST_F(ControlTest, AClientThatLeavesBeforeItsAnswerDoesNoHarm) {
  for (int i = 0; i < 50; ++i) {
    const Fd stream = connected();
    const std::string questions = "{\"request\":\"a\"}\n{\"request\":\"b\"}\n";
    send(stream.get(), questions.data(), questions.size(), MSG_NOSIGNAL);
  }
  EXPECT_NO_THROW(ask(path(), {{"request", "status"}}));
}

TEST_F(ControlTest, BytesThatAreNotUtf8DoNotBreakTheAnswer) {
  EXPECT_NO_THROW(ask(path(), {{"request", "bytes"}}));
}

// The daemon used to keep 64 idle connections and to close each newcomer at once.
TEST_F(ControlTest, IdleConnectionsDoNotLockTheOperatorOut) {
  std::vector<Fd> idle;
  for (int i = 0; i < 200; ++i) {
    idle.push_back(connected());
    EXPECT_EQ(send(idle.back().get(), "{", 1, MSG_NOSIGNAL), 1);
  }
  for (int i = 0; i < 10; ++i) EXPECT_NO_THROW(ask(path(), {{"request", "status"}}));
}

// The client used to get no answer, and the loop spun.
TEST_F(ControlTest, WithAllDescriptorsUsedUpItAnswers) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{200, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::string question = "{\"request\":\"open\"}\n";
  for (int round = 0; round < 3; ++round) {
    const Fd stream(::socket(AF_UNIX, SOCK_STREAM, 0));
    std::vector<Fd> all;
    do {
      all.emplace_back(::open("/dev/null", O_RDONLY));
    } while (all.back());

    connect_to_daemon(stream);
    send(stream.get(), question.data(), question.size(), MSG_NOSIGNAL);
    char answer[256] = "";
    const ssize_t count = recv(stream.get(), answer, sizeof(answer) - 1, 0);
    all.clear();

    ASSERT_GT(count, 0) << round;
    EXPECT_TRUE(json::parse(answer).at("opened").get<bool>()) << round;
  }
  setrlimit(RLIMIT_NOFILE, &before);
}

// It drops nobody because of the time.
class PatientControlTest : public ControlTest {
 protected:
  PatientControlTest() : ControlTest(std::chrono::hours(1)) {}
};

TEST_F(PatientControlTest, IdleConnectionsDoNotUseUpTheReserve) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{200, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<Fd> idle(30);
  for (Fd& stream : idle) stream = Fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  const Fd asking(::socket(AF_UNIX, SOCK_STREAM, 0));
  constexpr timeval kGivingUp{60, 0};
  setsockopt(asking.get(), SOL_SOCKET, SO_RCVTIMEO, &kGivingUp, sizeof(kGivingUp));
  std::vector<Fd> all;
  do {
    all.emplace_back(::open("/dev/null", O_RDONLY));
  } while (all.back());

  for (const Fd& stream : idle) connect_to_daemon(stream);
  connect_to_daemon(asking);
  const std::string question = "{\"request\":\"open\"}\n";
  send(asking.get(), question.data(), question.size(), MSG_NOSIGNAL);
  char answer[256] = "";
  const ssize_t count = recv(asking.get(), answer, sizeof(answer) - 1, 0);
  all.clear();
  setrlimit(RLIMIT_NOFILE, &before);

  ASSERT_GT(count, 0);
  EXPECT_TRUE(json::parse(answer).at("opened").get<bool>());
}

TEST_F(ControlTest, AClientThatDoesNotReadGetsNoSecondAnswer) {
  constexpr int kRequests = 20;
  const Fd stream = connected();
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += "{\"request\":\"large\"}\n";
  ASSERT_EQ(send(stream.get(), requests.data(), requests.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(requests.size()));
  // These requests came later, so the daemon has done all that it can do for the first client.
  for (int i = 0; i < 10; ++i) ask(path(), {{"request", "status"}});

  EXPECT_EQ(large_answers_, 1);

  // Once it reads, it gets all of them.
  int lines = 0;
  std::vector<char> chunk(1 << 20);
  while (lines < kRequests) {
    const ssize_t count = recv(stream.get(), chunk.data(), chunk.size(), 0);
    ASSERT_GT(count, 0);
    lines += static_cast<int>(std::count(chunk.begin(), chunk.begin() + count, '\n'));
  }
  EXPECT_EQ(large_answers_, kRequests);
}

// `echo … | socat` shuts its side down before the answer is made.
TEST_F(ControlTest, AClientThatHasSaidAllGetsItsAnswers) {
  const Fd stream = connected();
  constexpr std::string_view kRequests = "{\"request\":\"large\"}\n{\"request\":\"status\"}\n";
  ASSERT_EQ(send(stream.get(), kRequests.data(), kRequests.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(kRequests.size()));
  shutdown(stream.get(), SHUT_WR);

  std::string text;
  std::vector<char> chunk(1 << 20);
  for (ssize_t count; (count = recv(stream.get(), chunk.data(), chunk.size(), 0)) > 0;)
    text.append(chunk.data(), static_cast<std::size_t>(count));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

class ImpatientControlTest : public ControlTest {
 protected:
  ImpatientControlTest() : ControlTest(std::chrono::milliseconds(50)) {}
};

// Each byte used to start the time limit again.
TEST_F(ImpatientControlTest, AByteAtATimeDoesNotKeepAConnection) {
  const Fd stream = connected();
  bool closed = false;
  for (int i = 0; i < 60'000 && !closed; ++i) {
    closed = send(stream.get(), "x", 1, MSG_NOSIGNAL) < 0;
    pollfd readable{stream.get(), POLLIN, 0};
    poll(&readable, 1, 5);  // the pause between two bytes, or the end
    closed = closed || (readable.revents & POLLHUP) != 0;
  }
  EXPECT_TRUE(closed);
}

TEST_F(ControlTest, ARemovedSocketComesBack) {
  fs::remove_all(folder_);
  for (int i = 0; i < 60'000 && !fs::exists(path()); ++i) ::poll(nullptr, 0, 1);

  EXPECT_NO_THROW(ask(path(), {{"request", "status"}}));
  struct stat status {};
  ASSERT_EQ(stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077, 0U);
}

TEST_F(ControlTest, OnlyTheOwnerMayAsk) {
  struct stat status {};
  ASSERT_EQ(stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077, 0U);
}

TEST_F(ControlTest, WithoutADaemonTheClientSaysSo) {
  EXPECT_THROW(ask(folder_ / "none.sock", {{"request", "status"}}), std::runtime_error);
}

}  // namespace
}  // namespace remora
