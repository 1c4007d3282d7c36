// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control.h"

#include <event2/buffer.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

#include "daemon/base/callback.h"

namespace remora {
namespace {

// A client that asks nothing, or does not read its answer, must not stay.
constexpr timeval kPatience{10, 0};

Peer peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot tell who asks");
  return {credentials.uid};
}

struct Freed {
  void operator()(char* text) const noexcept { free(text); }
};

}  // namespace

Control::Control(EventLoop& loop, std::filesystem::path path, Handler handler)
    : path_(std::move(path)), loop_(loop), handler_(std::move(handler)) {
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
      loop.base(), on_connection, this, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
      reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  umask(before);
  if (!listener_) {
    throw std::runtime_error("cannot listen on " + path_.string() + ": " + std::strerror(errno));
  }
}

Control::~Control() {
  ::unlink(path_.c_str());
}

void Control::accept(int fd) {
  Fd owned(fd);
  if (clients_.size() >= kMostClients) return;
  const Peer peer = peer_of(fd);
  BuffereventHandle stream(bufferevent_socket_new(loop_.base(), fd, BEV_OPT_CLOSE_ON_FREE));
  if (!stream) throw std::runtime_error("cannot serve the connection");
  static_cast<void>(owned.release());  // the stream owns it now
  clients_.push_back({this, peer, std::move(stream)});
  Client& client = clients_.back();
  const auto on_read = [](bufferevent*, void* argument) {
    auto* self = static_cast<Client*>(argument);
    guarded("control request", [&] { self->control->read(*self); });
  };
  const auto on_end = [](bufferevent*, short, void* argument) {
    auto* self = static_cast<Client*>(argument);
    guarded("control connection", [&] { self->control->drop(*self); });
  };
  bufferevent_setcb(client.stream.get(), on_read, nullptr, on_end, &client);
  bufferevent_set_timeouts(client.stream.get(), &kPatience, &kPatience);
  bufferevent_enable(client.stream.get(), EV_READ | EV_WRITE);
}

void Control::read(Client& client) {
  evbuffer* input = bufferevent_get_input(client.stream.get());
  while (const auto line =
             std::unique_ptr<char, Freed>(evbuffer_readln(input, nullptr, EVBUFFER_EOL_LF))) {
    const std::string text = answer(line.get(), client.peer);
    bufferevent_write(client.stream.get(), text.data(), text.size());
  }
  if (evbuffer_get_length(input) > kLongestRequest) drop(client);
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
