// SPDX-License-Identifier: Apache-2.0
//
// Checks remoractl against a daemon that is there but does not answer: its process is stopped.
#include "cli/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/base/fd.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

// A socket that listens, and from which nobody accepts connections.
class SilentDaemon : public testing::Test {
 protected:
  SilentDaemon() : path_("/tmp/remora-client-" + std::to_string(getpid()) + ".sock") {
    const sockaddr_un name = address();
    ::unlink(path_.c_str());
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_EQ(listen(listener_.get(), 0), 0);
  }
  ~SilentDaemon() override { ::unlink(path_.c_str()); }

  void fill_backlog() {
    const sockaddr_un name = address();
    int result = 0;
    do {
      waiting_.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      result =
          connect(waiting_.back().get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name));
    } while (result == 0);
    EXPECT_EQ(errno, EAGAIN);
  }

  std::string refusal() const {
    try {
      ask(path_, {{"request", "status"}}, 10ms);
      return "none";
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  const std::string path_;

 private:
  sockaddr_un address() const {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path_.copy(name.sun_path, sizeof(name.sun_path) - 1);
    return name;
  }

  Fd listener_;
  std::vector<Fd> waiting_;
};

TEST_F(SilentDaemon, AnAnswerThatDoesNotComeIsAnError) {
  EXPECT_NE(refusal().find("does not answer (" + path_), std::string::npos) << refusal();
}

// connect() itself used to wait for ever.
TEST_F(SilentDaemon, AFullBacklogIsAnError) {
  fill_backlog();
  EXPECT_NE(refusal().find("does not answer (" + path_), std::string::npos) << refusal();
}

}  // namespace
}  // namespace remora
