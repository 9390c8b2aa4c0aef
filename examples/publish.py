"""Sends one of each to a demo user of `carillon serve --dev`; watch it arrive at http://127.0.0.1:8000/?as=alice.

    python3 examples/publish.py [URL] [API_KEY] [USER_ID]
"""

import sys

from carillon_client import Carillon, CarillonError


def main(url="http://127.0.0.1:8000", api_key="dev", user_id="1"):
    carillon = Carillon(url, api_key)
    try:
        sent = carillon.send_notification(
            user_id, "Your report is ready", "Twelve pages, three charts.", level="success", data={"report": 7}
        )
        print(f"notification {sent['id']} is stored")
        carillon.send_dashboard_update(
            user_id, {"total_subscriptions": 4, "active_subscriptions": 2, "total_revenue": "312.50"}
        )
        carillon.send_subscription_update(
            user_id, {"plan_name": "Team", "status": "active", "amount": "29.00", "currency": "EUR"}
        )
        carillon.send_payment_confirmation(user_id, {"amount": "29.00", "currency": "EUR"})
        carillon.send_subscription_expiry_warning(user_id, {"plan_name": "Team", "end_date": "2027-01-01"})
        carillon.send_admin_dashboard_update({"queue_length": 3})
        carillon.send_admin_subscription_alert("new_subscription", {"user_id": user_id, "plan_name": "Team"})
        carillon.broadcast_system_message("Maintenance tonight at ten.", level="warning")
        carillon.send_to_multiple_users([user_id], {"message": "A word to some.", "level": "info"})
        print(f"user {user_id} has {carillon.unread_count(user_id)} unread notifications")
    except CarillonError as error:
        sys.exit(f"refused: {error}")
    except OSError as error:
        sys.exit(f"no answer from {url}: {error}. Is `carillon serve --dev` running?")
    finally:
        carillon.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
