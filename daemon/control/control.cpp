// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "daemon/base/callback.h"
#include "log/log.h"

namespace remora {
namespace {

timeval to_timeval(std::chrono::milliseconds time) {
  using namespace std::chrono;
  const auto whole = duration_cast<seconds>(time);
  return {whole.count(), duration_cast<microseconds>(time - whole).count()};
}

Peer peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot tell who asks");
  return {credentials.uid};
}

std::optional<ino_t> inode_of(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? std::optional(status.st_ino) : std::nullopt;
}

constexpr timeval kRest{0, 100'000};

struct Freed {
  void operator()(char* text) const noexcept { free(text); }
};

}  // namespace

Control::Control(EventLoop& loop, std::filesystem::path path, Handler handler,
                 std::chrono::milliseconds patience)
    : path_(std::move(path)),
      loop_(loop),
      handler_(std::move(handler)),
      patience_(to_timeval(patience)) {
  const auto on_rested = [](evutil_socket_t, short, void* argument) {
    const auto& listener = static_cast<Control*>(argument)->listener_;
    if (listener) evconnlistener_enable(listener.get());
  };
  rested_.reset(evtimer_new(loop_.base(), on_rested, this));
  if (!rested_) throw std::runtime_error("cannot listen on " + path_.string());
  listen();
}

void Control::listen() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.native().size() >= sizeof(address.sun_path)) {
    throw std::runtime_error("the path of the control socket is too long: " + path_.string());
  }
  path_.native().copy(address.sun_path, sizeof(address.sun_path) - 1);
  ::unlink(path_.c_str());
  const auto on_connection = [](evconnlistener*, evutil_socket_t fd, sockaddr*, int,
                                void* argument) {
    guarded("control connection", [&] { static_cast<Control*>(argument)->accept(fd); });
  };
  const mode_t before = umask(0077);
  listener_.reset(evconnlistener_new_bind(
      loop_.base(), on_connection, this, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
      reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  umask(before);
  if (!listener_) {
    throw std::runtime_error("cannot listen on " + path_.string() + ": " + std::strerror(errno));
  }
  evconnlistener_set_error_cb(listener_.get(), [](evconnlistener*, void* argument) {
    guarded("control connection", [&] { static_cast<Control*>(argument)->accept_with_reserve(); });
  });
  inode_ = inode_of(path_).value_or(0);
}

void Control::look() {
  if (inode_of(path_) == inode_) return;
  const auto loan = reserve_.lend();
  std::error_code error;
  std::filesystem::create_directories(path_.parent_path(), error);
  listener_.reset();
  listen();
  log::warn("somebody had removed {}; it is back", path_.string());
}

// Called when a connection could not be accepted. The connection waits in the kernel and would wake
// the loop all the time, so the listener rests for a while if neither the reserve nor the
// descriptor of a client that waits helps.
void Control::accept_with_reserve() {
  const auto loan = reserve_.lend();
  const auto try_to_accept = [this] {
    return Fd(accept4(evconnlistener_get_fd(listener_.get()), nullptr, nullptr,
                      SOCK_NONBLOCK | SOCK_CLOEXEC));
  };
  Fd accepted = try_to_accept();
  const auto lacks_descriptors = [&] { return !accepted && (errno == EMFILE || errno == ENFILE); };
  if (lacks_descriptors() && !clients_.empty()) {
    drop_longest_waiting();
    accepted = try_to_accept();
  }
  if (accepted) return accept(accepted.release());
  const int error = errno;
  if (error == EAGAIN) return;  // it has gone
  evconnlistener_disable(listener_.get());
  evtimer_add(rested_.get(), &kRest);
  throw std::system_error(error, std::generic_category(), "cannot accept");
}

Control::~Control() {
  ::unlink(path_.c_str());
}

void Control::accept(int fd) {
  Fd owned(fd);
  const Peer peer = peer_of(fd);
  if (clients_.size() >= kMostClients) drop_longest_waiting();
  BuffereventHandle stream(bufferevent_socket_new(loop_.base(), fd, BEV_OPT_CLOSE_ON_FREE));
  if (!stream) throw std::runtime_error("cannot serve the connection");
  static_cast<void>(owned.release());  // the stream owns it now
  clients_.push_back({this, peer, std::move(stream), nullptr});
  Client& client = clients_.back();
  const auto on_read = [](bufferevent*, void* argument) {
    auto* self = static_cast<Client*>(argument);
    guarded("control request", [&] { self->control->serve(*self); });
  };
  const auto on_written = [](bufferevent*, void* argument) {
    auto* self = static_cast<Client*>(argument);
    guarded("control answer", [&] { self->control->renew(*self); });
  };
  const auto on_end = [](bufferevent*, short, void* argument) {
    auto* self = static_cast<Client*>(argument);
    guarded("control connection", [&] { self->control->drop(*self); });
  };
  const auto on_deadline = [](evutil_socket_t, short, void* argument) {
    auto* self = static_cast<Client*>(argument);
    guarded("control connection", [&] { self->control->drop(*self); });
  };
  client.deadline.reset(evtimer_new(loop_.base(), on_deadline, &client));
  if (!client.deadline || evtimer_add(client.deadline.get(), &patience_) != 0) {
    clients_.pop_back();
    throw std::runtime_error("cannot serve the connection");
  }
  bufferevent_setcb(client.stream.get(), on_read, on_written, on_end, &client);
  // Reading one byte more than a request may have is enough to refuse it.
  bufferevent_setwatermark(client.stream.get(), EV_READ, 0, kLongestRequest + 1);
  bufferevent_enable(client.stream.get(), EV_READ | EV_WRITE);
}

// The user with the most connections loses one. So users do not lock each other out, and a user who
// holds all of them can still connect.
void Control::drop_longest_waiting() {
  std::map<uid_t, std::size_t> counts;
  for (const Client& client : clients_) ++counts[client.peer.uid];
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& count) { return count.second; });
  const auto first = std::ranges::find_if(
      clients_, [&](const Client& client) { return client.peer.uid == most->first; });
  clients_.erase(first);
}

// Answers one request. The next one waits in the client's own buffers until the client has taken
// the answer.
void Control::serve(Client& client) {
  bufferevent* stream = client.stream.get();
  evbuffer* input = bufferevent_get_input(stream);
  const auto line = std::unique_ptr<char, Freed>(evbuffer_readln(input, nullptr, EVBUFFER_EOL_LF));
  if (!line) {
    if (evbuffer_get_length(input) > kLongestRequest)
      drop(client);
    else
      bufferevent_enable(stream, EV_READ);
    return;
  }
  bufferevent_disable(stream, EV_READ);
  const auto loan = reserve_.lend();
  const std::string text = answer(line.get(), client.peer);
  bufferevent_write(stream, text.data(), text.size());
}

// Called when the client has taken its answer.
void Control::renew(Client& client) {
  evtimer_add(client.deadline.get(), &patience_);
  const auto place =
      std::ranges::find_if(clients_, [&](const Client& other) { return &other == &client; });
  clients_.splice(clients_.end(), clients_, place);
  serve(client);
}

std::string Control::answer(std::string_view line, const Peer& peer) const {
  nlohmann::ordered_json reply;
  try {
    reply = handler_(nlohmann::ordered_json::parse(line), peer);
    reply["ok"] = true;
  } catch (const std::exception& error) {
    reply = {{"ok", false}, {"error", error.what()}};
  }
  // Topics need not be UTF-8.
  return reply.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void Control::drop(Client& client) {
  clients_.remove_if([&](const Client& other) { return &other == &client; });
}

}  // namespace remora
