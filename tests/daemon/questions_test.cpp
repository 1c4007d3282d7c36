// SPDX-License-Identifier: Apache-2.0
//
// How a real kernel answers the questions to clients. Needs root.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>

#include "bpf/parse.h"
#include "daemon/base/fd.h"
#include "daemon/base/raw_sender.h"
#include "daemon/packets/builder.h"
#include "tests/daemon/lb_network.h"

namespace remora {
namespace {

constexpr std::uint32_t kTimes = 20;

class QuestionsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    network_.emplace();
    sender_.emplace();
    const Fd listener(socket(AF_INET, SOCK_STREAM, 0));
    service_ = bound(listener.get());
    ASSERT_EQ(listen(listener.get(), 1), 0);
    client_ = Fd(socket(AF_INET, SOCK_STREAM, 0));
    const sockaddr_in to = socket_address(service_);
    ASSERT_EQ(connect(client_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    broker_ = Fd(accept(listener.get(), nullptr, nullptr));
    const Endpoint self = name_of(client_.get());
    key_ = {self.address.abi(), self.port, 0};
    say("some bytes that the client has read");
    entry_.acked = queue_seq(TCP_RECV_QUEUE);
    entry_.edge = queue_seq(TCP_SEND_QUEUE);
    ASSERT_NE(entry_.acked, 0U);
  }

  static sockaddr_in socket_address(const Endpoint& at) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = at.port;
    address.sin_addr.s_addr = at.address.ipv4();
    return address;
  }

  static Endpoint name_of(int socket) {
    sockaddr_in address{};
    socklen_t length = sizeof(address);
    getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
    return {Address::from_ipv4(address.sin_addr.s_addr), address.sin_port};
  }

  static Endpoint bound(int socket) {
    const sockaddr_in any = socket_address({*Address::parse("127.0.0.1"), 0});
    bind(socket, reinterpret_cast<const sockaddr*>(&any), sizeof(any));
    return name_of(socket);
  }

  // The client's next sequence number in one direction.
  std::uint32_t queue_seq(int queue) const {
    const auto set = [&](int option, int value) {
      return setsockopt(client_.get(), IPPROTO_TCP, option, &value, sizeof(value));
    };
    std::uint32_t seq = 0;
    socklen_t length = sizeof(seq);
    EXPECT_EQ(set(TCP_REPAIR, TCP_REPAIR_ON), 0);
    EXPECT_EQ(set(TCP_REPAIR_QUEUE, queue), 0);
    EXPECT_EQ(getsockopt(client_.get(), IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &length), 0);
    EXPECT_EQ(set(TCP_REPAIR, TCP_REPAIR_OFF_NO_WP), 0);
    return seq;
  }

  // The broker sends and the client reads, so the client has handled everything sent before.
  void say(std::string_view text) {
    ASSERT_EQ(send(broker_.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    std::string heard(text.size(), 0);
    ASSERT_EQ(recv(client_.get(), heard.data(), heard.size(), MSG_WAITALL),
              static_cast<ssize_t>(heard.size()));
    EXPECT_EQ(heard, text);
  }

  // Segments that the client's kernel has sent to the broker's.
  std::uint32_t answers() const {
    tcp_info info{};
    socklen_t length = sizeof(info);
    getsockopt(broker_.get(), IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_segs_in;
  }

  void ask() { sender_->send(old_byte_to_client(key_, service_, entry_), Address(key_.client)); }
  void ask_without_data() {
    for (const Bytes& packet : questions_to_client(key_, service_, entry_.edge))
      sender_->send(packet, Address(key_.client));
  }

  std::optional<LbNetwork> network_;
  std::optional<RawSender> sender_;  // in the namespace
  Fd client_, broker_;
  Endpoint service_;
  flow_key key_{};
  flow entry_{};
};

TEST_F(QuestionsTest, AnOldByteIsAnsweredEachTime) {
  const std::uint32_t before = answers();
  for (std::uint32_t i = 0; i < kTimes; ++i) ask();
  EXPECT_GE(answers() - before, kTimes);
  say("nothing was added to the stream");
}

TEST_F(QuestionsTest, AcksOutOfTheWindowAreNot) {
  const std::uint32_t before = answers();
  for (std::uint32_t i = 0; i < kTimes; ++i) ask_without_data();
  EXPECT_LT(answers() - before, kTimes) << "the old byte is no longer needed";
  say("nothing was added to the stream");
}

TEST_F(QuestionsTest, AnOldByteWhoseNumberHasBecomeNewIsDiscarded) {
  for (const std::uint32_t ahead : {2u, 3u, 1000u}) {  // two: the very next byte
    entry_.acked += ahead;
    ask();
    say("the stream goes on");
    entry_.acked = queue_seq(TCP_RECV_QUEUE);
  }
}

}  // namespace
}  // namespace remora
