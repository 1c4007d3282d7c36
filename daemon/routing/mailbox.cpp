// SPDX-License-Identifier: Apache-2.0
#include "daemon/routing/mailbox.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "daemon/base/callback.h"

namespace remora {

Mailbox::Mailbox(EventLoop& loop) : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
  loop.on_readable(wake_.get(), "news of the router", [this] { run(); });
}

void Mailbox::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;  // the loop has been woken already
  }
  eventfd_write(wake_.get(), 1);
}

void Mailbox::run() {
  eventfd_t count = 0;
  eventfd_read(wake_.get(), &count);
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) guarded("news of the router", task);
}

}  // namespace remora
