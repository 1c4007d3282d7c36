// SPDX-License-Identifier: Apache-2.0
#include "daemon/health/mqtt_prober.h"

#include <mqtt/async_client.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "bpf/parse.h"
#include "daemon/base/callback.h"
#include "daemon/health/tcp_prober.h"

namespace remora {
namespace {

enum Connack {
  kAccepted = 0,
  kProtocolVersion = 1,
  kIdentifier = 2,
  kUnavailable = 3,
  kCredentials = 4,
  kNotAuthorised = 5,
};

// Paho could not start for lack of threads, sockets or memory.
constexpr int kCouldNotBegin = -1000;

std::string base36(std::uint64_t number) {
  std::string text;
  do {
    text.insert(text.begin(), "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]);
    number /= 36;
  } while (number > 0);
  return text;
}

std::string uri_of(const Endpoint& to) {
  return "tcp://" + to_string(to);
}

}  // namespace

CheckResult result_of_connack(int code, const MqttLogin& login) {
  const auto refused = [&](const char* why) {
    return CheckResult{false, "CONNACK " + std::to_string(code) + ": " + why};
  };
  switch (code) {
    case kCouldNotBegin:
      return {false, "this host could not begin an MQTT connection", true};
    case kAccepted:
      return {true, "CONNACK"};
    case kProtocolVersion:
      return refused("unacceptable protocol version");
    case kIdentifier:
      return refused("client identifier rejected");
    case kUnavailable:
      return refused("server unavailable");
    case kCredentials:
    case kNotAuthorised: {
      CheckResult result =
          refused(code == kCredentials ? "bad user name or password" : "not authorised");
      result.good = login.username.empty();
      return result;
    }
    default:
      return {false, "no MQTT connection: refused, reset or closed"};
  }
}

// A TCP handshake comes first, on the loop: Paho waits for all of its connections at once, and one
// that hangs would delay the answers of others by seconds.
//
// Everything runs on the worker's thread, except the constructor, the destructor and functions that
// post to its queue; the listeners' methods run on Paho's threads.
class MqttProber::Worker {
 public:
  Worker(EventLoop& loop, Handler on_result, HasLeft has_left)
      : on_result_(std::move(on_result)),
        tcp_(
            loop, [this](std::uint64_t id, const CheckResult& result) { connected(id, result); },
            std::move(has_left)),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    std::uint32_t random = 0;
    if (!wake_ || getrandom(&random, sizeof(random), 0) != sizeof(random)) {
      throw std::system_error(errno, std::generic_category(), "cannot prepare MQTT checks");
    }
    mark_ = base36(random);
    loop.on_readable(wake_.get(), "result of an MQTT check", [this] { deliver(); });
    thread_ = std::thread([this] { guarded("MQTT checks", [this] { work(); }); });
  }

  ~Worker() {
    post({.kind = Order::kStop});
    thread_.join();
  }

  struct Order {
    enum Kind { kStart, kEnd, kLogin, kStop } kind;
    std::uint64_t id = 0;
    std::string uri = {};
    MqttLogin login = {};
  };

  void use(MqttLogin login) {
    loops_login_ = login;
    post({.kind = Order::kLogin, .login = std::move(login)});
  }

  // Called on the loop's thread.
  void start(std::uint64_t id, const Endpoint& to) {
    uris_[id] = uri_of(to);
    tcp_.start(id, to);
  }

  void end(std::uint64_t id) {
    tcp_.end(id);
    uris_.erase(id);
    post({.kind = Order::kEnd, .id = id});
  }

  bool has_left(std::uint64_t id) const { return tcp_.has_left(id); }

  // Called on any thread.
  void post(Order order) {
    {
      const std::lock_guard lock(mutex_);
      orders_.push_back(std::move(order));
    }
    changed_.notify_one();
  }

 private:
  // One attempt. At its end it goes into the queue, from which the worker's thread destroys it:
  // Paho's threads must not.
  struct Attempt : mqtt::iaction_listener {
    Attempt(Worker& a_worker, std::uint64_t an_id, const std::string& uri,
            const std::string& client_id)
        : worker(a_worker), id(an_id), client(uri, client_id) {}

    void on_success(const mqtt::token&) noexcept override { tell(kAccepted); }
    void on_failure(const mqtt::token& token) noexcept override { tell(token.get_return_code()); }

    void tell(int code) noexcept {
      if (!is_over.exchange(true)) worker.ended(id, code);
    }

    Worker& worker;
    const std::uint64_t id;
    std::atomic<bool> is_over = false;  // Paho also reports a failure during destruction
    mqtt::async_client client;
  };

  void connected(std::uint64_t id, const CheckResult& result) {
    const auto uri = uris_.extract(id);
    if (uri.empty()) return;
    if (result.good) {
      post({.kind = Order::kStart, .id = id, .uri = uri.mapped()});
    } else {
      on_result_(id, result);
    }
  }

  // Called on Paho's threads.
  void ended(std::uint64_t id, int code) noexcept {
    guarded("end of an MQTT check", [&] {
      report(id, code);
      post({.kind = Order::kEnd, .id = id});
    });
  }

  void report(std::uint64_t id, int code) {
    const std::lock_guard lock(mutex_);
    results_.emplace_back(id, code);
    const std::uint64_t one = 1;
    static_cast<void>(!write(wake_.get(), &one, sizeof(one)));  // fails if full, thus readable
  }

  void work() {
    // Paho's threads end with its last client, and waiting for their end takes long.
    const mqtt::async_client lasting("tcp://127.0.0.1:1", "remora");
    for (;;) {
      const Order order = next();
      if (order.kind == Order::kStop) break;
      guarded("an MQTT check", [&] { obey(order); });
    }
    attempts_.clear();
  }

  Order next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !orders_.empty(); });
    Order order = std::move(orders_.front());
    orders_.pop_front();
    return order;
  }

  void obey(const Order& order) {
    if (order.kind == Order::kLogin) {
      login_ = order.login;
    } else if (order.kind == Order::kEnd) {
      end_attempt(order.id);
    } else {
      connect(order);
    }
  }

  // Sends DISCONNECT if the attempt is connected.
  void end_attempt(std::uint64_t id) {
    const auto found = attempts_.find(id);
    if (found == attempts_.end()) return;
    found->second->is_over = true;
    attempts_.erase(found);
  }

  void connect(const Order& order) {
    mqtt::connect_options options;
    options.set_mqtt_version(MQTTVERSION_3_1_1);
    options.set_clean_session(true);
    options.set_connect_timeout(static_cast<int>(login_.patience_s));
    if (!login_.username.empty()) options.set_user_name(login_.username);
    if (!login_.password.empty()) options.set_password(login_.password);
    try {
      auto& attempt = attempts_[order.id];
      attempt = std::make_unique<Attempt>(*this, order.id, order.uri,
                                          login_.client_id + mark_ + base36(order.id));
      attempt->client.connect(options, nullptr, *attempt);
    } catch (const mqtt::exception&) {
      attempts_.erase(order.id);
      report(order.id, kCouldNotBegin);
      throw;
    }
  }

  // Called on the loop's thread, like use().
  void deliver() {
    std::uint64_t count;
    static_cast<void>(!read(wake_.get(), &count, sizeof(count)));
    std::deque<std::pair<std::uint64_t, int>> results;
    {
      const std::lock_guard lock(mutex_);
      results.swap(results_);
    }
    for (const auto& [id, code] : results) {
      guarded("result of an MQTT check", [this, id = id, code = code] {
        on_result_(id, result_of_connack(code, loops_login_));
      });
    }
  }

  const Handler on_result_;
  // Used on the loop's thread:
  MqttLogin loops_login_;
  TcpProber tcp_;
  std::map<std::uint64_t, std::string> uris_;  // attempts whose handshake is under way

  const Fd wake_;
  std::string mark_;  // distinguishes clients of this process from those of others
  MqttLogin login_;   // used by the attempts on the worker's thread
  std::map<std::uint64_t, std::unique_ptr<Attempt>> attempts_;

  std::mutex mutex_;  // guards the next two
  std::deque<Order> orders_;
  std::deque<std::pair<std::uint64_t, int>> results_;
  std::condition_variable changed_;

  std::thread thread_;
};

MqttProber::MqttProber(EventLoop& loop, Handler on_result, HasLeft has_left)
    : worker_(std::make_unique<Worker>(loop, std::move(on_result), std::move(has_left))) {}

MqttProber::~MqttProber() = default;

void MqttProber::use(MqttLogin login) {
  worker_->use(std::move(login));
}

void MqttProber::start(std::uint64_t id, const Endpoint& to) {
  worker_->start(id, to);
}

void MqttProber::end(std::uint64_t id) {
  worker_->end(id);
}

bool MqttProber::has_left(std::uint64_t id) const {
  return worker_->has_left(id);
}

}  // namespace remora
