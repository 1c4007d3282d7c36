// SPDX-License-Identifier: Apache-2.0
//
// The control socket, used by the real client and by badly behaved ones.
#include "daemon/control/control.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "cli/client.h"

namespace remora {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

class ControlTest : public testing::Test {
 protected:
  ControlTest()
      : folder_(fs::temp_directory_path() / ("remora-control-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    control_ =
        std::make_unique<Control>(loop_, path(), [](const json& request, const Peer&) -> json {
          if (request.at("request") == "fail") throw std::runtime_error("it failed");
          if (request.at("request") == "bytes") return {{"topic", "\xff\xfe"}};
          return {{"echo", request}};
        });
    loop_.every(std::chrono::milliseconds(5), "stop", [this] {
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
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().native().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(stream.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    return stream;
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
