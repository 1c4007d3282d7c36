// SPDX-License-Identifier: Apache-2.0
// A publisher on Paho C++ for the journeys: publishes each line "TOPIC PAYLOAD" that it reads, at
// QoS 0, and reconnects by itself.
//
//   paho_cpp_publisher HOST PORT CLIENT_ID
#include <mqtt/async_client.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: paho_cpp_publisher HOST PORT CLIENT_ID\n";
    return 2;
  }
  try {
    // Without room for buffered messages, a publish while offline would throw.
    constexpr int kBufferedMessages = 1000;
    const std::string host = argv[1];
    const bool is_ipv6 = host.find(':') != std::string::npos;
    mqtt::async_client client("tcp://" + (is_ipv6 ? "[" + host + "]" : host) + ":" + argv[2],
                              argv[3], kBufferedMessages);
    const auto options = mqtt::connect_options_builder()
                             .clean_session()
                             .keep_alive_interval(std::chrono::seconds(60))
                             .automatic_reconnect(std::chrono::seconds(1), std::chrono::seconds(8))
                             .finalize();
    client.connect(options)->wait();

    mqtt::delivery_token_ptr last;
    for (std::string line; std::getline(std::cin, line);) {
      const auto blank = line.find(' ');
      last = client.publish(line.substr(0, blank), line.substr(blank + 1), 0, false);
    }
    // At the end the client drops unwritten messages, and it lists no pending tokens at QoS 0.
    if (last) last->wait();
    client.disconnect()->wait();
  } catch (const std::exception& error) {
    std::cerr << "paho_cpp_publisher: " << error.what() << '\n';
    return 1;
  }
}
