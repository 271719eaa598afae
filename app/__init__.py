"""The Streamlit app: pages, the state that they share with the URL, and the middleware in front of them."""
